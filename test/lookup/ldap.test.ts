/** ldap tables on a real OpenLDAP. */
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { openTable } from '@mailfleet/lookup';
import { type CertificateAuthority, installed, makeCertificates } from '@mailfleet/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { conforms, ENTRIES, expectLikePostmap, writeTableFile } from './conformance.ts';
import { PASSWORD, startSlapd } from './servers.ts';

const there = installed(['slapd', 'ldapmodify']);
const base64 = (text: string): string => Buffer.from(text).toString('base64');

let certificates: CertificateAuthority;
let server: Awaited<ReturnType<typeof startSlapd>>;
beforeAll(async () => {
  if (!there) return;
  certificates = makeCertificates();
  const own = certificates.issue(['localhost', '127.0.0.1']);
  // slapd may run as another user.
  chmodSync(join(own.keyFile, '..'), 0o755);
  server = await startSlapd({ ca: certificates.ca.certFile, cert: own.certFile, key: own.keyFile });
  const people = Object.entries(ENTRIES).map(
    ([key, value], index) =>
      `dn: cn=person${index},dc=example,dc=com\nobjectClass: inetOrgPerson\nsn: x\nemployeeNumber:: ${base64(key)}\ndescription:: ${base64(value)}\n`,
  );
  await server.ldif(
    `dn: dc=example,dc=com\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n\n${people.join('\n')}`,
  );
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  certificates?.remove();
});

function cf(name: string, ...lines: string[]): string {
  const path = join(server.directory, name);
  const common = [
    `server_host = ldap://127.0.0.1:${server.port}`,
    'version = 3',
    'bind_dn = cn=admin,dc=example,dc=com',
    `bind_pw = ${PASSWORD}`,
    'search_base = dc=example,dc=com',
  ];
  const set = new Set(lines.map((line) => line.split(' ')[0]));
  writeTableFile(path, [...common.filter((line) => !set.has(line.split(' ')[0])), ...lines]);
  return `ldap:${path}`;
}

conforms('ldap', there, async () => {
  let added = false;
  return {
    spec: cf('table.cf', 'query_filter = (employeeNumber=%s)', 'result_attribute = description'),
    secret: PASSWORD,
    change: async (value) => {
      await server.ldif(
        added
          ? `dn: cn=added,dc=example,dc=com\nchangetype: modify\nreplace: description\ndescription: ${value}\n`
          : `dn: cn=added,dc=example,dc=com\nobjectClass: inetOrgPerson\nsn: x\nemployeeNumber: added@example.com\ndescription: ${value}\n`,
      );
      added = true;
    },
    trouble: { begin: server.stop, end: server.start },
    [Symbol.asyncDispose]: async () => {},
  };
});

describe.skipIf(!there)('ldap', () => {
  beforeAll(async () => {
    await server.ldif(
      `dn: ou=groups,dc=example,dc=com
objectClass: organizationalUnit
ou: groups

dn: cn=ann,ou=groups,dc=example,dc=com
objectClass: inetOrgPerson
cn: ann
sn: ann
mail: ann@example.com
uid: ann.box@example.com

dn: cn=ben,ou=groups,dc=example,dc=com
objectClass: inetOrgPerson
cn: ben
sn: ben
mail: ben@example.com
uid: ben.box@example.com
employeeType: only.ben@example.com

dn: cn=inner,ou=groups,dc=example,dc=com
objectClass: inetOrgPerson
cn: inner
sn: inner
uid: inner@example.com
seeAlso: cn=ann,ou=groups,dc=example,dc=com
labeledURI: ldap:///ou=groups,dc=example,dc=com??one?(cn=ben)

dn: cn=team,ou=groups,dc=example,dc=com
objectClass: inetOrgPerson
cn: team
sn: team
mail: team@example.com
uid: team.own@example.com
seeAlso: cn=inner,ou=groups,dc=example,dc=com
seeAlso: cn=nobody,ou=groups,dc=example,dc=com

dn: cn=loop,ou=groups,dc=example,dc=com
objectClass: inetOrgPerson
cn: loop
sn: loop
mail: loop@example.com
seeAlso: cn=loop,ou=groups,dc=example,dc=com
`,
    );
  });

  test('special, terminal and leaf attributes, agreeing with postmap', async () => {
    const filter = 'query_filter = (mail=%s)';
    const keys = ['team@example.com', 'ann@example.com', 'ben@example.com', 'nobody@example.com', 'team'];
    for (const spec of [
      cf('plain.cf', filter, 'result_attribute = uid'),
      cf('special.cf', filter, 'result_attribute = uid', 'special_result_attribute = seeAlso, labeledURI'),
      cf(
        'leaf.cf',
        filter,
        'result_attribute =',
        'leaf_result_attribute = uid',
        'special_result_attribute = seeAlso labeledURI',
      ),
      cf(
        'terminal.cf',
        filter,
        'result_attribute = uid',
        'terminal_result_attribute = employeeType',
        'special_result_attribute = seeAlso labeledURI',
      ),
      cf('format.cf', filter, 'result_attribute = uid', 'result_format = [%u]%d/%U'),
      cf('domain.cf', filter, 'result_attribute = uid', 'domain = example.net'),
      cf(
        'parts.cf',
        'query_filter = (cn=%u)',
        'search_base = ou=groups,dc=%2,dc=%1',
        'result_attribute = uid',
        'scope = one',
      ),
      cf(
        'base.cf',
        'query_filter = (objectclass=*)',
        'search_base = cn=%u,ou=groups,dc=example,dc=com',
        'result_attribute = uid',
        'scope = base',
      ),
    ]) {
      await expectLikePostmap(openTable(spec), keys);
    }
    const special = openTable(
      cf('special.cf', filter, 'result_attribute = uid', 'special_result_attribute = seeAlso, labeledURI'),
    );
    expect(await special.lookup('team@example.com')).toMatchObject({
      value: expect.stringMatching(/team\.own.*inner.*ann\.box/),
    });
  });

  test('entries that name each other end at recursion_limit, as an error', async () => {
    const table = openTable(
      cf(
        'loop.cf',
        'query_filter = (mail=%s)',
        'result_attribute = uid',
        'special_result_attribute = seeAlso',
        'recursion_limit = 20',
      ),
    );
    expect(await table.lookup('loop@example.com')).toMatchObject({
      kind: 'error',
      reason: expect.stringContaining('more than 20 searches'),
    });
  });

  test('expansion_limit, and a base that is not there', async () => {
    const limited = openTable(
      cf(
        'limit.cf',
        'query_filter = (objectclass=inetOrgPerson)',
        'result_attribute = uid',
        'expansion_limit = 2',
        'size_limit = 0',
      ),
    );
    expect(await limited.lookup('x')).toMatchObject({
      kind: 'error',
      reason: expect.stringContaining('expansion_limit'),
    });
    const base = openTable(cf('nobase.cf', 'query_filter = (cn=%s)', 'search_base = dc=nowhere,dc=com'));
    expect(await base.lookup('x')).toMatchObject({ kind: expect.stringMatching(/miss|error/) });
  });

  test('STARTTLS, ldaps trust and ldapi; a certificate that nobody vouches for is refused', async () => {
    const common = ['query_filter = (mail=%s)', 'result_attribute = uid', 'start_tls = yes'];
    const trusted = openTable(cf('tls.cf', ...common, `tls_ca_cert_file = ${certificates.ca.certFile}`));
    expect((await trusted.lookup('ann@example.com')).kind).toBe('found');
    const untrusted = openTable(cf('untrusted.cf', ...common));
    expect(await untrusted.lookup('ann@example.com')).toMatchObject({
      kind: 'error',
      reason: expect.stringMatching(/certificate/),
    });
    const lax = openTable(cf('lax.cf', ...common, 'tls_require_cert = no'));
    expect((await lax.lookup('ann@example.com')).kind).toBe('found');
    const socket = `server_host = ldapi://${encodeURIComponent(join(server.directory, 'sock'))}`;
    const local = openTable(
      cf('ldapi.cf', socket, 'query_filter = (mail=%s)', 'result_attribute = uid', 'bind = no'),
    );
    expect(await local.lookup('ann@example.com')).toEqual({ kind: 'found', value: 'ann.box@example.com' });
  });

  test('a refused login is an error without the password', async () => {
    const wrong = await openTable(
      cf('password.cf', 'query_filter = (mail=%s)', 'bind_pw = NotTheOne'),
    ).lookup('ann@example.com');
    expect(wrong).toMatchObject({ kind: 'error', reason: expect.stringMatching(/credentials/i) });
    expect(JSON.stringify(wrong)).not.toContain('NotTheOne');
  });
});
