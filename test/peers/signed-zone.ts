/**
 * Real DNSSEC: zones signed and served by Knot, and a validating Unbound before them, on free loopback ports; nothing outside is asked.
 * `.test` zones that are signed have a trust anchor in Unbound; those that are not are insecure to it, as most of the world is.
 */
import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort, waitFor } from '@mailfleet/test-kit';
import { peerDirectory, startServer } from './process.ts';

const run = promisify(execFile);

interface Zone {
  /** e.g. `signed.test` */
  readonly name: string;
  /** Lines of the zone file, names below the zone; SOA and NS are added. */
  readonly records: readonly string[];
  readonly signed: boolean;
  /** Changes the signed zone file, whose signatures then no longer fit: a forger's work. */
  readonly forge?: (zoneFile: string) => string;
}

export interface SignedZones extends AsyncDisposable {
  /** The validating resolver, `127.0.0.1:port`. */
  readonly resolver: string;
}

export interface SignedZoneOptions {
  readonly zones: readonly Zone[];
  /** Where the resolver listens besides, at port 53, for programs that know no other: a loopback address of its own. */
  readonly standardPortAt?: string;
}

export async function serveSignedZones(options: SignedZoneOptions): Promise<SignedZones> {
  const { zones, standardPortAt } = options;
  const directory = await peerDirectory('zones');
  const [authority, resolver] = [await freePort(), await freePort()];
  for (const folder of ['zones', 'keys']) await mkdir(join(directory, folder));
  for (const zone of zones) {
    await writeFile(zoneFile(directory, zone), [...head(zone.name), ...zone.records, ''].join('\n'));
  }
  const anchors = await signZones(directory, authority, zones);
  for (const zone of zones) {
    if (zone.forge === undefined) continue;
    const file = zoneFile(directory, zone);
    await writeFile(file, zone.forge(await readFile(file, 'utf8')));
  }
  const configuration = join(directory, 'serve.conf');
  await writeFile(configuration, knotConfiguration(directory, authority, zones, false));
  const knot = await startServer('/usr/sbin/knotd', ['-c', configuration], authority, directory);
  const unboundFile = join(directory, 'unbound.conf');
  await writeFile(
    unboundFile,
    unboundConfiguration(directory, resolver, authority, zones, anchors, standardPortAt),
  );
  const unbound = await startServer(
    '/usr/sbin/unbound',
    ['-d', '-p', '-c', unboundFile],
    resolver,
    directory,
  );
  return {
    resolver: `127.0.0.1:${resolver}`,
    [Symbol.asyncDispose]: async () => {
      await unbound[Symbol.asyncDispose]();
      await knot[Symbol.asyncDispose]();
    },
  };
}

const zoneFile = (directory: string, { name }: Zone): string => join(directory, 'zones', `${name}.zone`);

const head = (name: string): string[] => [
  `$ORIGIN ${name}.`,
  '$TTL 300',
  `@ SOA ns.${name}. hostmaster.${name}. 1 3600 600 86400 60`,
  `@ NS ns.${name}.`,
  'ns A 127.0.0.1',
];

/** Lets Knot sign what is to be signed and write it back; answers the trust anchors. */
async function signZones(directory: string, port: number, zones: readonly Zone[]): Promise<string[]> {
  const signed = zones.filter((zone) => zone.signed);
  const configuration = join(directory, 'sign.conf');
  await writeFile(configuration, knotConfiguration(directory, port, signed, true));
  await using _signer = await startServer(
    '/usr/sbin/knotd',
    ['-c', configuration],
    port,
    join(directory, 'sign'),
  );
  const anchors: string[] = [];
  for (const zone of signed) {
    const file = zoneFile(directory, zone);
    await waitFor(
      async () => (await readFile(file, 'utf8')).includes('RRSIG'),
      10_000,
      `${zone.name} to be signed`,
    );
    const { stdout } = await run('keymgr', ['-c', configuration, zone.name, 'ds'], {
      env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
    });
    anchors.push(...stdout.split('\n').filter((line) => / DS \d+ \d+ 2 /.test(line)));
  }
  return anchors;
}

const knotConfiguration = (
  directory: string,
  port: number,
  zones: readonly Zone[],
  signing: boolean,
): string => `
server:
    listen: 127.0.0.1@${port}
    rundir: ${directory}
    user: root
database:
    storage: ${directory}/keys
log:
  - target: stderr
    any: warning
policy:
  - id: plain
    algorithm: ecdsap256sha256
    single-type-signing: on
    nsec3: off
template:
  - id: default
    storage: ${directory}/zones
    file: "%s.zone"
    zonefile-sync: 0
    zonefile-load: whole
    journal-content: none
    dnssec-signing: ${signing ? 'on' : 'off'}
    dnssec-policy: plain
zone:
${zones.map(({ name }) => `  - domain: ${name}`).join('\n')}
`;

const unboundConfiguration = (
  directory: string,
  port: number,
  authority: number,
  zones: readonly Zone[],
  anchors: readonly string[],
  standardPortAt: string | undefined,
): string => `
server:
    interface: 127.0.0.1@${port}
${standardPortAt === undefined ? '' : `    interface: ${standardPortAt}@53`}
    do-ip6: no
    chroot: ""
    username: ""
    directory: "${directory}"
    pidfile: ""
    use-syslog: no
    verbosity: 0
    num-threads: 1
    do-not-query-localhost: no
    module-config: "validator iterator"
    local-zone: "test." transparent
${anchors.map((anchor) => `    trust-anchor: "${anchor}"`).join('\n')}
${zones
  .map(
    ({ name }) =>
      `stub-zone:\n    name: "${name}"\n    stub-addr: 127.0.0.1@${authority}\n    stub-no-cache: no\n`,
  )
  .join('')}
`;
