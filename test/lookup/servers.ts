/**
 * Real database servers for the tables: each on a loopback port of its own in a temporary folder, as a user whom the server accepts,
 * without a care for what a crash would lose, and ended by its pid.
 */
import { execFile } from 'node:child_process';
import { globSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '@mailfleet/test-kit';
import { startServer } from '../peers/process.ts';

const run = promisify(execFile);

/** Where Debian keeps PostgreSQL's own programs. */
const POSTGRES = globSync('/usr/lib/postgresql/*/bin').sort().at(-1) ?? '/usr/lib/postgresql';
export const POSTGRES_PROGRAMS = [`${POSTGRES}/initdb`, `${POSTGRES}/postgres`, 'psql'] as const;

/** A secret that holds what a careless message would break at. */
export const PASSWORD = 'Geheim#4711';

export interface TestServer extends AsyncDisposable {
  readonly port: number;
  readonly directory: string;
  /** Ends the server, or starts it with the same data. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** A folder that belongs to this user; servers that refuse to be root's run as him. */
async function folderOf(name: string, user: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), `mailfleet-${name}-`));
  await chmod(directory, 0o755);
  if (process.getuid?.() === 0) await run('chown', [user, directory]);
  return directory;
}

/** The command, as this user where we are root. `runuser` and `setpriv` would not pass signals on in the same way. */
function as(user: string, command: string, ...args: string[]): [string, string[]] {
  return process.getuid?.() === 0
    ? ['setpriv', [`--reuid=${user}`, `--regid=${user}`, '--init-groups', command, ...args]]
    : [command, args];
}

async function server(
  directory: string,
  command: readonly [string, readonly string[]],
  port: number,
  stopSignal?: NodeJS.Signals,
): Promise<TestServer> {
  const scrap = await mkdtemp(join(tmpdir(), 'mailfleet-scrap-'));
  let running: AsyncDisposable | undefined = await startServer(
    command[0],
    command[1],
    port,
    scrap,
    stopSignal,
  );
  const stop = async (): Promise<void> => {
    await running?.[Symbol.asyncDispose]();
    running = undefined;
  };
  return {
    port,
    directory,
    stop,
    start: async () => {
      running ??= await startServer(command[0], command[1], port, scrap, stopSignal);
    },
    [Symbol.asyncDispose]: async () => {
      await stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** User `mail` with PASSWORD and database `mail`; `sql` runs as its owner. */
export async function startPostgres(): Promise<TestServer & { sql(text: string): Promise<void> }> {
  const directory = await folderOf('postgres', 'postgres');
  const port = await freePort();
  const password = join(directory, 'password');
  await writeFile(password, PASSWORD, { mode: 0o644 });
  const data = join(directory, 'data');
  await run(
    ...as(
      'postgres',
      `${POSTGRES}/initdb`,
      '-D',
      data,
      '-N',
      '-U',
      'mail',
      '--auth=scram-sha-256',
      `--pwfile=${password}`,
      '-E',
      'UTF8',
      '--locale=C',
    ),
  );
  const settings = [
    'fsync=off',
    'listen_addresses=127.0.0.1',
    'max_connections=20',
    `unix_socket_directories=${directory}`,
  ];
  const options = settings.flatMap((setting) => ['-c', setting]);
  const it = await server(
    directory,
    as('postgres', `${POSTGRES}/postgres`, '-D', data, '-p', String(port), ...options),
    port,
    // Its "fast" way to stop: SIGTERM waits for the clients to go.
    'SIGINT',
  );
  const sql = async (text: string, database = 'mail'): Promise<void> => {
    const env = { ...process.env, PGPASSWORD: PASSWORD };
    await run(
      'psql',
      ['-h', '127.0.0.1', '-p', String(port), '-U', 'mail', '-v', 'ON_ERROR_STOP=1', '-qc', text, database],
      { env },
    );
  };
  for (let tries = 0; ; tries += 1) {
    // It listens before it is ready.
    const made = await sql('CREATE DATABASE mail', 'postgres').catch((error: Error) => error);
    if (made === undefined) break;
    if (tries === 100) throw made;
  }
  return Object.assign(it, { sql });
}

/** User `mail` with PASSWORD and database `mail`. */
export async function startMariadb(): Promise<TestServer & { sql(text: string): Promise<void> }> {
  const directory = await folderOf('mariadb', 'mysql');
  const port = await freePort();
  const data = join(directory, 'data');
  const user = process.getuid?.() === 0 ? ['--user=mysql'] : [];
  await run('mariadb-install-db', [
    '--no-defaults',
    `--datadir=${data}`,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
    ...user,
  ]);
  const socket = join(directory, 'sock');
  const args = [
    '--no-defaults',
    `--datadir=${data}`,
    `--socket=${socket}`,
    `--port=${port}`,
    '--bind-address=127.0.0.1',
    '--innodb-flush-log-at-trx-commit=0',
    '--skip-name-resolve',
    ...user,
  ];
  const it = await server(directory, ['/usr/sbin/mariadbd', args], port);
  const sql = async (text: string): Promise<void> => {
    await run('mariadb', [
      '--no-defaults',
      `--socket=${socket}`,
      '-uroot',
      '--default-character-set=utf8mb4',
      '-e',
      text,
    ]);
  };
  await sql(
    `CREATE DATABASE mail CHARACTER SET utf8mb4; CREATE USER mail@'%' IDENTIFIED BY '${PASSWORD}'; GRANT ALL ON mail.* TO mail@'%'`,
  );
  return Object.assign(it, { sql });
}

/** Suffix dc=example,dc=com; `ldif` adds or modifies as cn=admin,dc=example,dc=com with PASSWORD. */
export async function startSlapd(certificates?: {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}): Promise<TestServer & { ldif(text: string): Promise<void> }> {
  const directory = await folderOf('slapd', 'openldap');
  const port = await freePort();
  await run('mkdir', [join(directory, 'db')]);
  await writeFile(
    join(directory, 'slapd.conf'),
    `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile ${directory}/pid
${certificates === undefined ? '' : `TLSCACertificateFile ${certificates.ca}\nTLSCertificateFile ${certificates.cert}\nTLSCertificateKeyFile ${certificates.key}\n`}
database mdb
suffix "dc=example,dc=com"
rootdn "cn=admin,dc=example,dc=com"
rootpw "${PASSWORD}"
directory ${directory}/db
dbnosync
access to * by * read
`,
  );
  const url = `ldap://127.0.0.1:${port}`;
  const socket = `ldapi://${encodeURIComponent(join(directory, 'sock'))}`;
  const it = await server(
    directory,
    ['/usr/sbin/slapd', ['-f', join(directory, 'slapd.conf'), '-h', `${url} ${socket}`, '-d', '0']],
    port,
  );
  let count = 0;
  const ldif = async (text: string): Promise<void> => {
    count += 1;
    const file = join(directory, `${count}.ldif`);
    await writeFile(file, text);
    await run('ldapmodify', [
      '-a',
      '-x',
      '-H',
      url,
      '-D',
      'cn=admin,dc=example,dc=com',
      '-w',
      PASSWORD,
      '-f',
      file,
    ]);
  };
  return Object.assign(it, { ldif });
}

export async function startMemcached(): Promise<TestServer> {
  const directory = await folderOf('memcached', 'nobody');
  const port = await freePort();
  const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  return server(directory, ['memcached', ['-l', '127.0.0.1', '-p', String(port), '-U', '0', ...user]], port);
}

export async function startRedis(): Promise<TestServer> {
  const directory = await folderOf('redis', 'nobody');
  const port = await freePort();
  const args = ['--bind', '127.0.0.1', '--port', String(port), '--dir', directory, '--requirepass', PASSWORD];
  return server(directory, ['redis-server', args], port);
}
