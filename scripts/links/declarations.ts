/** Where a source file declares its symbols, for links of the docs to lines. */
import ts from 'typescript';

/** Lines (from 1) by name; a member is `Class.member`, without `#`. */
export function declarationsOf(file: string, source: string): ReadonlyMap<string, number> {
  const tree = ts.createSourceFile(file, source, ts.ScriptTarget.Latest, false);
  const found = new Map<string, number>();
  const visit = (node: ts.Node, within: string): void => {
    const name = nameOf(node);
    if (name === null) {
      ts.forEachChild(node, (child) => visit(child, within));
      return;
    }
    const whole = within + name;
    if (!found.has(whole)) found.set(whole, tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1);
    if (ts.isClassDeclaration(node) || ts.isInterfaceDeclaration(node))
      for (const member of node.members) visit(member, `${name}.`);
  };
  ts.forEachChild(tree, (node) => visit(node, ''));
  return found;
}

function nameOf(node: ts.Node): string | null {
  const { name } = node as { readonly name?: ts.Node };
  if (name === undefined || ts.isImportDeclaration(node)) return null;
  return ts.isIdentifier(name) || ts.isPrivateIdentifier(name) ? name.text.replace('#', '') : null;
}
