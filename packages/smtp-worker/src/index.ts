export { runSmtpWorker, type SmtpWorkerOptions } from './run.ts';
export { type Verdict, type VerifyOptions, verifyAddress } from './verify.ts';
