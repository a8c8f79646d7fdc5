// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references in main.cf syntax look like template strings
import { describe, expect, test } from 'vitest';
import { ExpandError, expand } from './expand.ts';

const values: Record<string, string> = {
  one: '1',
  empty: '',
  deep: '<$one>',
  loop: '$pool',
  pool: '$loop',
  level: '3.9',
  a_b: 'underscore',
  brace: 'x}y',
};
const run = (text: string): string => expand(text, (name) => values[name]);

describe.each([
  ['$one ${one} $(one)', '1 1 1'],
  ['$onex|$empty|$none', '||'],
  ['$a_b.', 'underscore.'],
  ['$$one $$$$', '$one $$'],
  ['$deep', '<1>'],
  ['${one?yes}${one:no}', 'yes'],
  ['${empty?yes}${empty:no}${none:none}', 'nonone'],
  ['${one?a:b{c}?d}', 'a:b{c}?d'],
  ['${one?{a}:{b}} ${empty?{a}:{b}}', 'a b'],
  ['${ one ? { a } : {b} }', ' a '],
  ['${empty?{a}:tail $one}', 'tail 1'],
  ['${one?{a}} ${empty?{a}}', 'a '],
  ['${one?${empty?{x}:{$deep}}}', '<1>'],
  ['${empty?{${bad name}}:{fine}}', 'fine'],
  ['${{$one} == {1} ? {same} : {other}}', 'same'],
  ['${{01} == {1}} ${{ 1} == {1}}', 'true '],
  ['${{3.9} < {3.10} ? {less} : {more}}', 'more'],
  ['${{$level} <level {3.10} ? {less} : {more}}', 'less'],
  ['${{$level} >=level {3.9} ? {yes}}', 'yes'],
  ['${{10} > {9} ? {n} : {t}} ${{} < {9} ? {t} : {n}}', 'n t'],
  ['${{a} != {b}}', 'true'],
  ['${{$level} <level {3.9} ? {} : {may}}', 'may'],
  ['${domain_to_ascii{Bücher.example}}', 'xn--bcher-kva.example'],
  ['${domain_to_ascii{$one.Example}}', '1.Example'],
])('%s', (text, result) => {
  test(`is "${result}"`, () => expect(run(text)).toBe(result));
});

describe.each([
  ['${one', /no closing "}"/],
  ['$(one', /no closing "\)"/],
  ['$ x', /not followed by a name/],
  ['${}', /has no name/],
  ['${?x}', /has no name/],
  ['${one!x}', /unexpected "!"/],
  ['${one?{a}b}', /unexpected "b"/],
  ['${{a} = {b}}', /needs one of/],
  ['${{a} == b}', /needs braces/],
  ['${{x} <level {3.6}}', /not a compatibility level/],
  ['${nothing_known{x}}', /no function "nothing_known"/],
  ['$loop', /nested more than 100/],
])('%s', (text, message) => {
  test('is an error', () => {
    expect(() => run(text)).toThrow(ExpandError);
    expect(() => run(text)).toThrow(message);
  });
});
