/** Finds the prose in a file: paragraphs of Markdown, comments and messages of TypeScript, comments of YAML. */
import ts from 'typescript';

/** A paragraph, with inline code kept in its backticks and line breaks as spaces. */
export interface Paragraph {
  /** From 1. */
  readonly line: number;
  readonly text: string;
  /** A message is what a program shows; it may end without a full stop. */
  readonly kind: 'text' | 'comment' | 'message';
}

/** A name that the file declares or uses. */
export interface Name {
  readonly line: number;
  readonly name: string;
}

export interface Texts {
  readonly paragraphs: readonly Paragraph[];
  /** Each name once, where it stands first. */
  readonly names: readonly Name[];
}

export function textsOf(file: string, source: string): Texts {
  if (file.endsWith('.md')) return { paragraphs: ofMarkdown(source), names: [] };
  return file.endsWith('.ts')
    ? ofTypeScript(file, source)
    : { paragraphs: ofHashComments(source), names: [] };
}

const LIST_ITEM = /^(?:[-*+]|\d+\.)\s+/;

function ofMarkdown(source: string): Paragraph[] {
  const found: Paragraph[] = [];
  let fence: string | null = null;
  let open: { line: number; texts: string[] } | null = null;
  const end = (): void => {
    if (open !== null) found.push({ line: open.line, text: open.texts.join(' '), kind: 'text' });
    open = null;
  };
  for (const [index, whole] of source.split('\n').entries()) {
    const text = whole.replace(/^[\s>]*/, '').trimEnd();
    const mark = /^(```|~~~)/.exec(text)?.[1];
    if (fence !== null || mark !== undefined) {
      end();
      fence = fence === null ? mark! : mark === fence ? null : fence;
    } else if (text === '' || /^(#|<)/.test(text)) {
      end();
      if (text.startsWith('#')) found.push({ line: index + 1, text: text.replace(/^#+ /, ''), kind: 'text' });
    } else if (text.startsWith('|')) {
      end();
      const cells = text.split(/(?<!\\)\|/).map((cell) => cell.trim());
      for (const cell of cells)
        if (/[a-z]/i.test(cell)) found.push({ line: index + 1, text: cell, kind: 'text' });
    } else {
      if (LIST_ITEM.test(text)) end();
      open ??= { line: index + 1, texts: [] };
      open.texts.push(text.replace(LIST_ITEM, ''));
    }
  }
  end();
  return found;
}

function ofTypeScript(file: string, source: string): Texts {
  const tree = ts.createSourceFile(file, source, ts.ScriptTarget.Latest, false);
  const found: Paragraph[] = [];
  const masked = [...source];
  const lineOf = (at: number): number => tree.getLineAndCharacterOfPosition(at).line + 1;
  const names = new Map<string, Name>();
  const visit = (node: ts.Node): void => {
    if ((ts.isIdentifier(node) || ts.isPrivateIdentifier(node)) && !names.has(node.text))
      names.set(node.text, { line: lineOf(node.getStart(tree)), name: node.text });
    const text = messageOf(node);
    if (text !== null) {
      const start = node.getStart(tree);
      if (isProse(text)) found.push({ line: lineOf(start), text, kind: 'message' });
    }
    if (ts.isLiteralExpression(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node))
      masked.fill('x', node.getStart(tree), node.end);
    if (!ts.isImportDeclaration(node)) ts.forEachChild(node, visit);
  };
  visit(tree);
  const rest = masked.join('');
  for (const match of rest.matchAll(/\/\*[\s\S]*?\*\/|(?:^[ \t]*\/\/.*\n)+|\/\/.*/gm)) {
    const comment = source.slice(match.index, match.index + match[0].length);
    found.push(...ofComment(comment, lineOf(match.index)));
  }
  return { paragraphs: found, names: [...names.values()] };
}

/** The text of a string or template, with `x` for each value in it; null: the node is neither. */
function messageOf(node: ts.Node): string | null {
  if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) return node.text;
  if (!ts.isTemplateExpression(node)) return null;
  return node.head.text + node.templateSpans.map(({ literal }) => `X${literal.text}`).join('');
}

/** Words with spaces between them, not a path, a pattern, code or a shell command. */
function isProse(text: string): boolean {
  return /[A-Za-z]{2,},? [a-z]+ [a-z]/.test(text) && !/[{}<>$\\\n=]|--|&&|^\s*(?:SELECT|set -)/.test(text);
}

function ofComment(comment: string, line: number): Paragraph[] {
  const found: Paragraph[] = [];
  let open: { line: number; texts: string[] } | null = null;
  const end = (): void => {
    if (open !== null) found.push({ line: open.line, text: open.texts.join(' '), kind: 'comment' });
    open = null;
  };
  let fenced = false;
  for (const [index, whole] of comment.split('\n').entries()) {
    const text = whole.replace(/^\s*(?:\/\*\*?|\*\/|\*(?!\*)|\/\/)/, '').replace(/\*\/$/, '');
    const trimmed = text.trim();
    if (trimmed.startsWith('```')) fenced = !fenced;
    const isCode =
      fenced || trimmed.startsWith('```') || /^ {3,}\S/.test(text) || trimmed.startsWith('biome-ignore');
    if (trimmed === '' || isCode) {
      end();
      continue;
    }
    if (LIST_ITEM.test(trimmed) || trimmed.startsWith('@')) end();
    open ??= { line: line + index, texts: [] };
    open.texts.push(trimmed.replace(LIST_ITEM, '').replace(/^@\w+ /, ''));
  }
  end();
  return found;
}

function ofHashComments(source: string): Paragraph[] {
  const found: Paragraph[] = [];
  let open: { line: number; texts: string[] } | null = null;
  const end = (): void => {
    if (open !== null) found.push({ line: open.line, text: open.texts.join(' '), kind: 'comment' });
    open = null;
  };
  for (const [index, whole] of source.split('\n').entries()) {
    const text = /(?:^|\s)#+ (.*)$/.exec(whole)?.[1];
    const alone = /^\s*#/.test(whole);
    if (text === undefined || !alone) end();
    if (text === undefined) continue;
    open ??= { line: index + 1, texts: [] };
    open.texts.push(text.trim());
    if (!alone) end();
  }
  end();
  return found;
}
