/**
 * Small faults of a source file, one at a time: a condition that is always true or never, a boundary moved by one, a statement
 * left out, a boolean turned round. Made on the syntax tree, so that each is a program; that it compiles is not asked, since
 * types are only stripped where it runs.
 */
import ts from 'typescript';

export interface Mutant {
  /** From the root of the repository. */
  readonly file: string;
  /** Of the code that is replaced, from 1. */
  readonly line: number;
  readonly start: number;
  readonly end: number;
  readonly code: string;
  readonly becomes: string;
}

const SWAPPED: ReadonlyMap<ts.SyntaxKind, string> = new Map([
  [ts.SyntaxKind.LessThanToken, '<='],
  [ts.SyntaxKind.LessThanEqualsToken, '<'],
  [ts.SyntaxKind.GreaterThanToken, '>='],
  [ts.SyntaxKind.GreaterThanEqualsToken, '>'],
  [ts.SyntaxKind.EqualsEqualsEqualsToken, '!=='],
  [ts.SyntaxKind.ExclamationEqualsEqualsToken, '==='],
  [ts.SyntaxKind.AmpersandAmpersandToken, '||'],
  [ts.SyntaxKind.BarBarToken, '&&'],
  [ts.SyntaxKind.PlusToken, '-'],
  [ts.SyntaxKind.MinusToken, '+'],
]);

/** All of a file, in the order of its text. */
export function mutantsOf(file: string, text: string): Mutant[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const mutants: Mutant[] = [];
  const add = (start: number, end: number, becomes: string): void => {
    const line = source.getLineAndCharacterOfPosition(start).line + 1;
    mutants.push({ file, line, start, end, code: text.slice(start, end), becomes });
  };
  const condition = (node: ts.Expression): void => {
    add(node.getStart(), node.getEnd(), 'true');
    add(node.getStart(), node.getEnd(), 'false');
  };
  const visit = (node: ts.Node): void => {
    // Types are not executed.
    if (ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return;
    if (ts.isIfStatement(node)) condition(node.expression);
    if (ts.isConditionalExpression(node)) condition(node.condition);
    if (ts.isBinaryExpression(node)) {
      const token = node.operatorToken;
      const swapped = SWAPPED.get(token.kind);
      const isText = [node.left, node.right].some(
        (side) => ts.isStringLiteralLike(side) || ts.isTemplateExpression(side),
      );
      if (swapped !== undefined && !(isText && token.kind === ts.SyntaxKind.PlusToken))
        add(token.getStart(), token.getEnd(), swapped);
    }
    if (node.kind === ts.SyntaxKind.TrueKeyword) add(node.getStart(), node.getEnd(), 'false');
    if (node.kind === ts.SyntaxKind.FalseKeyword) add(node.getStart(), node.getEnd(), 'true');
    if (ts.isExpressionStatement(node) && !isSuper(node.expression)) add(node.getStart(), node.getEnd(), ';');
    ts.forEachChild(node, visit);
  };
  visit(source);
  return mutants.filter((mutant) => !isOfText(mutant.code)).sort((one, other) => one.start - other.start);
}

export function applied(text: string, { start, end, becomes }: Mutant): string {
  return text.slice(0, start) + becomes + text.slice(end);
}

/** A class without it does not even load. */
function isSuper(expression: ts.Expression): boolean {
  return ts.isCallExpression(expression) && expression.expression.kind === ts.SyntaxKind.SuperKeyword;
}

/** What only the log says. */
function isOfText(code: string): boolean {
  return /^((this\.)?(log|tell|onBug)|this\.#(options\.)?log)\b/.test(code);
}
