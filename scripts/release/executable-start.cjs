/** First script of the command as a single executable: the bundled modules are assets in it, and are imported from there. */
const { createRequire, registerHooks } = require('node:module');
const { getAsset } = require('node:sea');

// No such directory is read: what begins with this name comes from the assets.
const INSIDE = 'file:///filerpair-executable/';

registerHooks({
  resolve(specifier, context, next) {
    const isOurs = specifier.startsWith('./') && context.parentURL?.startsWith(INSIDE);
    return isOurs ? { url: new URL(specifier, INSIDE).href, shortCircuit: true } : next(specifier, context);
  },
  load(url, context, next) {
    if (!url.startsWith(INSIDE)) return next(url, context);
    const name = url.slice(INSIDE.length);
    // The script of an executable may not import by itself; a module that is required may.
    return name === 'start.cjs'
      ? { format: 'commonjs', source: "import('./main.js');", shortCircuit: true }
      : { format: 'module', source: getAsset(name, 'utf8'), shortCircuit: true };
  },
});
createRequire(`${INSIDE}executable`)('./start.cjs');
