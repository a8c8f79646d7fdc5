/**
 * Sessions that no list in Redis names, most of all those in use, for operators who look. Workers write nothing about them while nobody
 * asks: a question stands in Redis for a few seconds, each worker looks for one every second, and answers it with what it has at that moment.
 */
import type { ScriptPort } from '@mailfleet/queue';
import {
  answersTo,
  askForSessions,
  boardScripts,
  questionStands,
  readAnswer,
  tellSessions,
} from './board-scripts.ts';
import { boardKeys } from './keys.ts';

/** An open session as its worker tells of it. It holds nothing secret. */
export interface OpenSession {
  readonly state: 'busy' | 'parked';
  readonly transport: string;
  readonly nexthop: string;
  /** `host[address]:port` */
  readonly relay: string;
  /** TLS protocol version; absent in clear. */
  readonly tls?: string;
  readonly sinceMs: number;
  readonly uses: number;
  /** How long it may be parked yet; absent while it is busy. */
  readonly leftMs?: number;
}

/** More of a worker's sessions are left out. */
const MOST_SESSIONS = 5_000;
const LOOK_MS = 1_000;
const QUESTION_MS = 3_000;
const ANSWER_MS = 10_000;

/** Answers questions until the returned function is called. */
export function answerQuestions(
  queue: ScriptPort,
  worker: string,
  sessions: () => readonly OpenSession[],
): () => void {
  const run = queue.openScripts(boardScripts);
  const { question, answers, answer } = boardKeys(queue.scriptKeys(0).prefix);
  const look = async (): Promise<void> => {
    if ((await run(questionStands, [question], [])) !== 1) return;
    const told = sessions().slice(0, MOST_SESSIONS);
    const texts = told.map((session) => JSON.stringify(session));
    await run(tellSessions, [answers, answer(worker)], [worker, ANSWER_MS, ...texts]);
  };
  // Whoever asks while Redis is away gets no answer, and asks again.
  const timer = setInterval(() => void look().catch(() => undefined), LOOK_MS);
  return () => clearInterval(timer);
}

export interface SessionBoard {
  /** @returns when, by Redis' clock */
  ask(): Promise<number>;
  /** Workers that answered since, a page of their names, and how many workers are alive by now. */
  answers(
    sinceMs: number,
    from: number,
    count: number,
  ): Promise<{ readonly alive: number; readonly answered: number; readonly workers: readonly string[] }>;
  /** A page of a worker's sessions. */
  sessions(worker: string, from: number, count: number): Promise<readonly OpenSession[]>;
}

export function openSessionBoard(queue: ScriptPort): SessionBoard {
  const run = queue.openScripts(boardScripts);
  const { prefix, workers } = queue.scriptKeys(0);
  const keys = boardKeys(prefix);
  return {
    ask: async () => Number(await run(askForSessions, [keys.question], [QUESTION_MS])),
    async answers(sinceMs, from, count) {
      const found = (await run(answersTo, [keys.answers, workers], [sinceMs, from, count])) as string[];
      const [alive, answered, ...names] = found;
      return { alive: Number(alive), answered: Number(answered), workers: names };
    },
    async sessions(worker, from, count) {
      const texts = (await run(readAnswer, [keys.answer(worker)], [from, from + count - 1])) as string[];
      return texts.map((text) => JSON.parse(text) as OpenSession);
    },
  };
}
