export { runSmtpWorker, type SmtpWorkerOptions } from './run.ts';
