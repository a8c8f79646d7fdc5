/**
 * What the SMTP intake's client did wrong, and the dialogue up to then, for a transcript to the postmaster where `notify_classes`
 * wants one (smtpd(8)). A session that brings a notice of ours, or any other mail of the null sender, has none: no notice
 * is made about notices.
 */
import type { Config } from '@mailfleet/config';
import type { TranscriptPort } from '@mailfleet/queue';
import { DialogueRecorder } from '@mailfleet/telemetry';

type ErrorClass = 'bounce' | 'policy' | 'protocol' | 'resource' | 'software';

const CLASSES: readonly string[] = [
  'bounce',
  'policy',
  'protocol',
  'resource',
  'software',
] satisfies ErrorClass[];

export class SessionErrors {
  readonly #classes: ReadonlySet<string>;
  readonly #ownSender: string;
  readonly #recorder = new DialogueRecorder('server');
  readonly #seen = new Set<ErrorClass>();
  #aboutNotice = false;

  /** Undefined: `notify_classes` asks for none of them. */
  static from(config: Config): SessionErrors | undefined {
    const classes = config.get('notify_classes').filter((name) => CLASSES.includes(name));
    return classes.length === 0 ? undefined : new SessionErrors(config, new Set(classes));
  }

  private constructor(config: Config, classes: ReadonlySet<string>) {
    this.#classes = classes;
    this.#ownSender = `<${config.get('double_bounce_sender')}@${config.get('myhostname')}>`.toLowerCase();
  }

  command(line: string): void {
    this.#recorder.client(line);
    const [, sender] = /^MAIL +FROM: *(<[^>]*>)/i.exec(line) ?? [];
    if (sender === '<>' || sender?.toLowerCase() === this.#ownSender) this.#aboutNotice = true;
  }

  reply(code: number, lines: readonly string[]): void {
    const last = lines.length - 1;
    this.#recorder.server(lines.map((line, at) => `${code}${at < last ? '-' : ' '}${line}`).join('\n'));
    if (code >= 400 && code !== 421) this.#seen.add(classOf(code, lines[last] ?? ''));
  }

  /** At the end of the session. @param peer `name[address]:port` of the client */
  async tell(port: TranscriptPort, peer: string): Promise<void> {
    const classes = [...this.#seen].filter((name) => this.#classes.has(name));
    if (classes.length === 0 || this.#aboutNotice) return;
    await port.requestTranscript({
      shard: 0,
      notice: 'transcript',
      classes,
      program: 'smtpd',
      peer,
      lines: this.#recorder.lines(),
      atMs: Date.now(),
    });
  }
}

/** The class of one of our replies, by its enhanced status (RFC 3463). */
function classOf(code: number, text: string): ErrorClass {
  const status = /^[45]\.(\d{1,3}\.\d{1,3}) /.exec(text)?.[1] ?? '';
  if (status === '3.1') return 'resource';
  if (code === 451) return 'software';
  if (/^(?:7\.|3\.4$|5\.3$)/.test(status)) return 'policy';
  if (/^1\.[012]$/.test(status)) return 'bounce';
  return 'protocol';
}
