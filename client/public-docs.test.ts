/** Each export of the package has TSDoc, and so has each member that no page of another project describes. */
import { join } from 'node:path';
import ts from 'typescript';
import { expect, test } from 'vitest';

const INDEX = join(import.meta.dirname, 'index.ts');
const options: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2024,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  allowImportingTsExtensions: true,
  noEmit: true,
  skipLibCheck: true,
  types: ['node'],
};

test('each export has TSDoc; members have their own, or their type names the page that describes them', () => {
  const program = ts.createProgram([INDEX], options);
  const checker = program.getTypeChecker();
  const index = checker.getSymbolAtLocation(program.getSourceFile(INDEX)!)!;
  const undocumented: string[] = [];
  const note = (symbol: ts.Symbol, name: string): void => {
    if (symbol.getDocumentationComment(checker).length === 0) undocumented.push(name);
  };
  const exported = checker.getExportsOfModule(index).map((symbol) => {
    const isAlias = (symbol.flags & ts.SymbolFlags.Alias) !== 0;
    return isAlias ? checker.getAliasedSymbol(symbol) : symbol;
  });
  // The constants are Node's own.
  for (const symbol of exported.filter(({ name }) => name !== 'constants')) {
    note(symbol, symbol.name);
    const isElsewhere = symbol.getJsDocTags(checker).some(({ name }) => name === 'see');
    const [declaration] = symbol.declarations!;
    const hasMembers = ts.isClassDeclaration(declaration!) || ts.isInterfaceDeclaration(declaration!);
    if (!hasMembers || isElsewhere) continue;
    for (const { name } of declaration.members) {
      if (name === undefined || !ts.isIdentifier(name) || name.text.startsWith('_')) continue;
      note(checker.getSymbolAtLocation(name)!, `${symbol.name}.${name.text}`);
    }
  }
  expect(exported.length).toBeGreaterThan(40);
  expect(undocumented).toEqual([]);
}, 120_000);
