/**
 * For dialogues.test.ts: reads a file of dialogues. Text up to the first `==` says what the file is about; then for each dialogue
 *
 *   == name                        protocol: lmtp            main.cf: name = value
 *   from: address                  to: address | NOTIFY=DELAY | ORCPT=type;address | original=address
 *   next message                   another one of the same batch; its `to:` lines follow
 *   envelope: {"size": 101}        sizeBytes, encoding, smtputf8, envid, ret, client as in Envelope
 *   content: "JSON string"         a character for each byte
 *   waited: 600                    seconds in the queue        mail port     the servers' port counts as 25
 *
 * then what the servers see and say, in the words of the test kit's dialogue.ts, after
 *
 *   host                           the next MX host; the first need not be named      host refuses connections
 *   connection                     a further connection to the same host
 *   destination: [relay.test]      the hosts after it belong to this one (for fallback relays)
 *
 * and what comes of it, complete: a recipient's `=> address host outcome status reason` in order of decision, `log:` lines,
 * `throttled` when the destination is reported dead, `untried: Q2` for a message that comes back. PORT stands for the port.
 */
import type { Envelope, Notify, Protocol, Recipient } from './delivery.ts';

export interface DialogueHost {
  readonly destination: string;
  readonly refuses: boolean;
  /** A script for each connection. */
  readonly scripts: string[][];
}

export interface Dialogue {
  readonly name: string;
  protocol: Protocol;
  readonly config: Record<string, string>;
  readonly requests: Omit<Recipient, 'index'>[][];
  envelope: Partial<Envelope>;
  content: string | undefined;
  waitedSeconds: number;
  isMailPort: boolean;
  readonly hosts: DialogueHost[];
  readonly expected: string[];
}

const DEFAULT_DESTINATION = 'example.com';

/** Dialogues of one file; throws with file and line where a line is none. */
export const parseDialogues = (file: string, text: string): Dialogue[] => {
  const dialogues: Dialogue[] = [];
  let destination = DEFAULT_DESTINATION;
  for (const [index, line] of text.split('\n').entries()) {
    const at = `${file}:${index + 1}`;
    const dialogue = dialogues.at(-1);
    if (line.startsWith('== ')) {
      destination = DEFAULT_DESTINATION;
      dialogues.push({
        name: line.slice(3),
        protocol: 'smtp',
        config: {},
        requests: [[]],
        envelope: {},
        content: undefined,
        waitedSeconds: 0,
        isMailPort: false,
        hosts: [],
        expected: [],
      });
    } else if (dialogue !== undefined && line !== '') {
      const [, key = line, value = ''] = /^([a-z.]+): (.*)$/.exec(line) ?? [];
      if (key === 'destination') destination = value;
      else readLine(dialogue, key, value, line, destination, at);
    }
  }
  return dialogues;
};

const readLine = (
  dialogue: Dialogue,
  key: string,
  value: string,
  line: string,
  destination: string,
  at: string,
): void => {
  const addHost = (refuses: boolean): DialogueHost => {
    const host = { destination, refuses, scripts: refuses ? [] : [[]] };
    dialogue.hosts.push(host);
    return host;
  };
  switch (key) {
    case 'protocol':
      if (value !== 'smtp' && value !== 'lmtp') throw new Error(`${at}: no protocol: ${value}`);
      dialogue.protocol = value;
      return;
    case 'main.cf': {
      const [, name, setting] = /^(\w+) = ?(.*)$/.exec(value) ?? [];
      if (name === undefined || setting === undefined) throw new Error(`${at}: no setting: ${value}`);
      dialogue.config[name] = setting;
      return;
    }
    case 'from':
      dialogue.envelope = { ...dialogue.envelope, sender: value === '<>' ? '' : value };
      return;
    case 'to':
      dialogue.requests.at(-1)?.push(recipientOf(value));
      return;
    case 'next message':
      dialogue.requests.push([]);
      return;
    case 'envelope':
      dialogue.envelope = { ...dialogue.envelope, ...JSON.parse(value) };
      return;
    case 'content':
      if (line === 'content') break;
      dialogue.content = JSON.parse(value);
      return;
    case 'waited':
      dialogue.waitedSeconds = Number(value);
      return;
    case 'mail port':
      dialogue.isMailPort = true;
      return;
    case 'host':
    case 'host refuses connections':
      addHost(key !== 'host');
      return;
    case 'connection':
      dialogue.hosts.at(-1)?.scripts.push([]);
      return;
    case 'log':
    case 'throttled':
    case 'untried':
      dialogue.expected.push(line);
      return;
  }
  if (line.startsWith('=> ')) {
    dialogue.expected.push(line);
    return;
  }
  if (!/^(?:[SC]: |C:$|raw: |delay \d|content$|starttls$|eof$|close$|reset$|silence$)/.test(line)) {
    throw new Error(`${at}: not a line of a dialogue: ${line}`);
  }
  const host = dialogue.hosts.at(-1) ?? addHost(false);
  host.scripts.at(-1)?.push(line === 'C:' ? 'C: ' : line);
};

const recipientOf = (text: string): Omit<Recipient, 'index'> => {
  const [address = '', ...parameters] = text.split(' | ');
  const value = (name: string): string | undefined =>
    parameters.find((parameter) => parameter.startsWith(`${name}=`))?.slice(name.length + 1);
  const [notify, orcpt, originalAddress] = [value('NOTIFY'), value('ORCPT'), value('original')];
  return {
    address,
    ...(notify === undefined ? {} : { notify: notify.split(',') as Notify[] }),
    ...(orcpt === undefined ? {} : { orcpt }),
    ...(originalAddress === undefined ? {} : { originalAddress }),
  };
};
