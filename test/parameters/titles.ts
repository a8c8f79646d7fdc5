/**
 * The titles that a test file gives its tests, as they stand in the source. Of a `.each` whose title takes its rows in (`%s`,
 * `$name`), the strings of the rows count as well: they are in the titles that a run shows.
 */
import { type Node, parseSync, Visitor } from 'oxc-parser';

/** @param text of one TypeScript file; `path` is for the parser's choice of language */
export function titlesIn(path: string, text: string): string[] {
  const { program } = parseSync(path, text);
  const constants = new Map<string, Node>();
  const titles: string[] = [];
  new Visitor({
    VariableDeclarator: ({ id, init }) => {
      if (id.type === 'Identifier' && init !== null) constants.set(id.name, init);
    },
  }).visit(program);
  new Visitor({
    CallExpression: ({ callee, arguments: [title] }) => {
      if (title === undefined || !isTestFunction(callee)) return;
      const words = wordsOf(title);
      if (words === undefined) return;
      const rows = /%|\$/.test(words) ? stringsIn(tableOf(callee), text, constants) : [];
      titles.push(words, ...rows);
    },
  }).visit(program);
  return titles;
}

const TEST_FUNCTIONS: readonly string[] = ['test', 'it', 'describe'];

/** `test`, `test.skip`, `describe.skipIf(x)`, `it.each(table)` and so on. */
function isTestFunction(node: Node): boolean {
  switch (node.type) {
    case 'Identifier':
      return TEST_FUNCTIONS.includes(node.name);
    case 'MemberExpression':
      return isTestFunction(node.object);
    case 'CallExpression':
      return node.callee.type === 'MemberExpression' && isTestFunction(node.callee);
    default:
      return false;
  }
}

/** Text of a string or template, `$` in the place of what a template puts in. */
function wordsOf(node: Node): string | undefined {
  if (node.type === 'Literal' && typeof node.value === 'string') return node.value;
  if (node.type === 'TemplateLiteral') return node.quasis.map(({ value }) => value.raw).join('$');
  return undefined;
}

function tableOf(callee: Node): Node | undefined {
  if (callee.type !== 'CallExpression') return undefined;
  const [table] = callee.arguments;
  const { callee: inner } = callee;
  const isEach =
    inner.type === 'MemberExpression' &&
    inner.property.type === 'Identifier' &&
    inner.property.name === 'each';
  return isEach ? table : undefined;
}

/** Strings of an expression and of the constants that it names; keys of objects are no strings. */
function stringsIn(node: Node | undefined, text: string, constants: ReadonlyMap<string, Node>): string[] {
  const strings: string[] = [];
  const seen = new Set<Node>();
  const visit = (each: Node): void => {
    if (seen.has(each)) return;
    seen.add(each);
    // The visitor wants a program; a copy of the text in its place keeps strings and names.
    const { program } = parseSync('table.ts', `(${text.slice(each.start, each.end)})`);
    const keys = new Set<Node>();
    new Visitor({
      Property: ({ key }) => void keys.add(key),
      Literal: (literal) => {
        if (typeof literal.value === 'string' && !keys.has(literal)) strings.push(literal.value);
      },
      Identifier: ({ name }) => {
        const constant = constants.get(name);
        if (constant !== undefined) visit(constant);
      },
    }).visit(program);
  };
  if (node !== undefined) visit(node);
  return strings;
}
