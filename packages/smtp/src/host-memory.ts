/** Which servers can do what they announce, as far as this process has seen. */
import type { Endpoint } from './connect.ts';

/** Hosts to remember; the oldest is forgotten first. */
const MAX_HOSTS = 10_000;

/** Trusted until the first failure, and after a success until the second in a row. */
export class HostMemory {
  readonly #hosts = new Map<string, 'works' | 'fails'>();

  mayTry(endpoint: Endpoint): boolean {
    return this.#hosts.get(keyOf(endpoint)) !== 'fails';
  }

  isProven(endpoint: Endpoint): boolean {
    return this.#hosts.get(keyOf(endpoint)) === 'works';
  }

  succeeded(endpoint: Endpoint): void {
    if (!this.isProven(endpoint)) this.#set(endpoint, 'works');
  }

  /** @returns true when this server will not be tried again. */
  failed(endpoint: Endpoint): boolean {
    if (this.isProven(endpoint)) {
      this.#hosts.delete(keyOf(endpoint));
      return false;
    }
    this.#set(endpoint, 'fails');
    return true;
  }

  #set(endpoint: Endpoint, state: 'works' | 'fails'): void {
    this.#hosts.set(keyOf(endpoint), state);
    if (this.#hosts.size <= MAX_HOSTS) return;
    for (const oldest of this.#hosts.keys()) {
      this.#hosts.delete(oldest);
      break;
    }
  }
}

/** What an agent learns of servers while it works; whoever makes agents anew hands it on. */
export interface LearnedOfHosts {
  /** Answers an opening that was sent along with the last content. */
  readonly ahead: HostMemory;
  /** Takes BDAT. */
  readonly chunking: HostMemory;
}

export const learnedOfHosts = (): LearnedOfHosts => ({ ahead: new HostMemory(), chunking: new HostMemory() });

const keyOf = ({ address, port }: Endpoint): string => `${address} ${port}`;
