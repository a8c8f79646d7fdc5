#!/usr/bin/env node
// Starts the command: from dist in an image or an installed package, from source in a checkout. Plain JavaScript that an
// older Node can read, because a checkout pins Node 24 as the npm package `node` and this finds it there.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const source = join(here, '../src/main.ts');
const fromSource = existsSync(source);

function node24() {
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath;
  try {
    return join(dirname(createRequire(import.meta.url).resolve('node/package.json')), 'bin/node');
  } catch {
    console.error(
      `mailfleet: Node 24 is needed and this is ${process.version}; install Node 24, or run npm ci in the checkout`,
    );
    process.exit(78);
  }
}

const command = fromSource
  ? ['--conditions=source', '--disable-warning=ExperimentalWarning', source]
  : [join(here, '../dist/main.js')];
const child = spawn(node24(), [...command, ...process.argv.slice(2)], { stdio: 'inherit' });
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 143)));
