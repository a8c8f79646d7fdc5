export type { Address } from './address.ts';
export { type Enqueued, type EnqueueResult, enqueue } from './enqueue.ts';
export { createIntake, type Intake, type IntakeOptions } from './intake.ts';
export { listen } from './listen.ts';
export type { Refusal, RefusalName } from './refusal.ts';
export { type IntakeDaemon, runIntake } from './run.ts';
export { createSmtpServer, type IntakeSmtpServer } from './smtp-server.ts';
export { type SmtpSubmission, submitBySmtp } from './smtp-submit.ts';
export type { RecipientWish, Submission } from './submission.ts';
