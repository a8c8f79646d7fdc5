/** Peers for tests, on real sockets: see the files for what each promises. No dependency on any other workspace package. */
export {
  type Certificate,
  type CertificateAuthority,
  type IssueOptions,
  makeCertificates,
} from './certificates.ts';
export { makeChains, type TestChain } from './chains.ts';
export { type DelayProxy, startDelayProxy } from './delay-proxy.ts';
export {
  type DnsAnswer,
  type DnsBehaviour,
  type DnsEntry,
  type DnsQuery,
  type DnsServer,
  type DnsTypes,
  type DnsZones,
  startDnsServer,
} from './dns-server.ts';
export { type Example, readExamples } from './examples.ts';
export { installed } from './installed.ts';
export {
  indexed,
  type MilterScript,
  type MilterServer,
  type MilterServerOptions,
  type MilterStep,
  startMilter,
} from './milter-server.ts';
export { type Random, randomFrom, testSeeds } from './random.ts';
export { type RedisCluster, startRedisCluster } from './redis-cluster.ts';
export { type SmtpServer, type SmtpServerOptions, startSmtpServer } from './smtp-server.ts';
export type {
  Action,
  Hook,
  HookInfo,
  Hooks,
  ReceivedMessage,
  ReceivedRecipient,
  ServerMechanism,
  SmtpSession,
  Stage,
} from './smtp-session.ts';
export { freePort, refusingPort, waitFor } from './wait.ts';
export {
  basicConstraints,
  type Extension,
  extendedKeyUsage,
  keyUsage,
  nameConstraints,
  subjectAltName,
  unknownExtension,
} from './x509.ts';
