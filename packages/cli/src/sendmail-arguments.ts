/**
 * The command line of sendmail(1), which no option parser of today reads: `-fann@example.com`, `-oi`, `-bs`, a `--` or not
 * before the recipients. Options that mean nothing here are taken and ignored, as Postfix's sendmail does, since programs pass
 * them by habit.
 */

export interface SendmailArguments {
  readonly mode: 'submit' | 'smtp';
  /** -t */
  readonly recipientsFromHeader: boolean;
  /** -f, -r; empty for the null sender. */
  readonly sender?: string;
  /** -F */
  readonly fullName?: string;
  /** -i, -oi: a line of one dot does not end the message. */
  readonly ignoreDots: boolean;
  /** -N, upper case. */
  readonly notify?: readonly string[];
  /** -R */
  readonly ret?: 'FULL' | 'HDRS';
  /** -V */
  readonly envid?: string;
  /** -B */
  readonly encoding?: '7bit' | '8bit';
  /** -C, and -c as in our other commands: folder of main.cf. */
  readonly config?: string;
  /** -o name=value */
  readonly override: readonly string[];
  readonly recipients: readonly string[];
}

export type ParsedArguments =
  | { readonly ok: true; readonly arguments: SendmailArguments }
  | { readonly ok: false; readonly sentence: string };

type Building = { -readonly [K in keyof SendmailArguments]: SendmailArguments[K] } & {
  override: string[];
  recipients: string[];
};

/** Letters whose value follows, attached or as the next argument. */
const WITH_VALUE = 'BCFLNORVXbcfhpr';
/** Taken and ignored: debugging, verbosity, GECOS, queue options of old. */
const IGNORED = 'AEGUimnvx';

export function parseSendmailArguments(argv: readonly string[]): ParsedArguments {
  const result: Building = {
    mode: 'submit',
    recipientsFromHeader: false,
    ignoreDots: false,
    override: [],
    recipients: [],
  };
  for (let index = 0; index < argv.length; index += 1) {
    const argument = argv[index] ?? '';
    if (argument === '--') {
      result.recipients.push(...argv.slice(index + 1));
      break;
    }
    if (!argument.startsWith('-') || argument === '-') {
      result.recipients.push(argument);
      continue;
    }
    const letter = argument[1] ?? '';
    let value = argument.slice(2);
    if ((WITH_VALUE.includes(letter) || letter === 'o') && value === '') {
      index += 1;
      const next = argv[index];
      if (next === undefined) return { ok: false, sentence: `-${letter} needs a value` };
      value = next;
    }
    const problem = take(result, letter, value);
    if (problem !== undefined) return { ok: false, sentence: problem };
  }
  return { ok: true, arguments: result };
}

/** Applies one option; a sentence when it is wrong. */
function take(result: Building, letter: string, value: string): string | undefined {
  switch (letter) {
    case 't':
      result.recipientsFromHeader = true;
      return undefined;
    case 'i':
      result.ignoreDots = true;
      return undefined;
    case 'o':
      if (value === 'i') result.ignoreDots = true;
      else if (value.includes('=')) result.override.push(value);
      return undefined;
    case 'f':
    case 'r':
      result.sender = value === '<>' ? '' : value.replace(/^<(.*)>$/, '$1');
      return undefined;
    case 'F':
      result.fullName = value;
      return undefined;
    case 'C':
    case 'c':
      result.config = value;
      return undefined;
    case 'N':
      result.notify = value
        .toUpperCase()
        .split(',')
        .map((each) => each.trim());
      return /^(?:NEVER|(?:(?:SUCCESS|FAILURE|DELAY)(?:,(?!$)|$))+)$/.test(result.notify.join(','))
        ? undefined
        : `-N ${value}: must be never, or any of success, failure and delay with commas between them`;
    case 'R':
      if (!/^(?:full|hdrs)$/i.test(value)) return `-R ${value}: must be full or hdrs`;
      result.ret = value.toUpperCase() === 'FULL' ? 'FULL' : 'HDRS';
      return undefined;
    case 'V':
      result.envid = value;
      return undefined;
    case 'B':
      if (!/^(?:7bit|8bitmime)$/i.test(value)) return `-B ${value}: must be 7BIT or 8BITMIME`;
      result.encoding = /^7/.test(value) ? '7bit' : '8bit';
      return undefined;
    case 'b':
      if (value === 's') result.mode = 'smtp';
      else if (value !== 'm') return `-b${value} is not supported; -bm sends a message and -bs speaks SMTP`;
      return undefined;
    default:
      return WITH_VALUE.includes(letter) || IGNORED.includes(letter)
        ? undefined
        : `unknown option -${letter}`;
  }
}
