/** A process that starts a server and tells its pid, for a test that kills the process. */
import { startEmbeddedRedis } from './embedded-redis.ts';

const [directory = ''] = process.argv.slice(2);
const server = await startEmbeddedRedis({ directory, socket: true });
process.send?.(server.pid);
setInterval(() => undefined, 60_000);
