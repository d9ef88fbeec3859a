// Which folder may import which, as the table below says; a folder is entered through its index.ts only.
// Type-only imports obey the direction rules too; the cycle rule alone ignores them.

/** folder: the folders it may import, besides itself */
const allowed = {
  core: [],
  autodiff: ['core'],
  nn: ['core', 'autodiff'],
  models: ['core', 'nn'],
  optim: ['core'],
  peft: ['core', 'nn'],
}

const folders = Object.keys(allowed).join('|')

const directions = Object.entries(allowed).map(([folder, others]) => ({
  name: `${folder}-imports`,
  comment: `${folder} imports ${others.join(' and ') || 'no other folder'}, relatively, through index.ts`,
  severity: 'error',
  from: { path: `^${folder}/` },
  to: {
    path: `^(?:index\\.ts$|(?:${folders}|examples|test)/)`,
    pathNot: [`^${folder}/`, ...others.map((other) => `^${other}/index\\.ts$`)],
  },
}))

module.exports = {
  forbidden: [
    ...directions,
    {
      name: 'no-self-name',
      comment: 'the package does not import itself by name: only examples and tests say cotangent/…',
      severity: 'error',
      from: { path: `^(?:index\\.ts$|(?:${folders})/)` },
      to: { dependencyTypes: ['aliased'] },
    },
    {
      name: 'root-imports',
      comment: 'the root index.ts re-exports core and autodiff; the others have entry points of their own',
      severity: 'error',
      from: { path: '^index\\.ts$' },
      to: { pathNot: ['^(?:core|autodiff)/index\\.ts$'] },
    },
    {
      name: 'examples-imports',
      comment: 'an example sees what a user sees: the entry points, other examples and npm packages',
      severity: 'error',
      from: { path: '^examples/' },
      to: {
        path: `^(?:${folders}|test)/`,
        pathNot: ['^(?:nn|optim|models|peft)/index\\.ts$'],
      },
    },
    {
      name: 'examples-by-name',
      comment:
        "an example imports 'cotangent' or 'cotangent/nn', never '../nn/index.ts', so that it can be copied",
      severity: 'error',
      from: { path: '^examples/' },
      to: { path: `^(?:index\\.ts$|(?:${folders})/)`, dependencyTypesNot: ['aliased'] },
    },
    {
      name: 'compile-is-pure',
      comment: 'core/compile turns graphs into text: it knows no operation and no device',
      severity: 'error',
      from: { path: '^core/compile/' },
      to: { path: '^core/(?:ops|device)/' },
    },
    {
      name: 'device-knows-no-graph',
      comment: 'core/device runs WGSL text on bytes: it knows no graph, no operation and no compiler',
      severity: 'error',
      from: { path: '^core/device/' },
      to: { path: '^core/(?:(?:compile|ops)/|(?:graph|trace)\\.ts$)' },
    },
    {
      name: 'no-dev-dependency',
      comment: 'what is published needs no devDependency; the software adapter is looked up if present',
      severity: 'error',
      from: { path: `^(?:index\\.ts$|(?:${folders})/)` },
      to: {
        dependencyTypes: ['npm-dev'],
        dependencyTypesNot: ['type-only'],
        pathNot: ['^node_modules/@sparticuz/chromium/'],
      },
    },
    {
      name: 'no-cycle',
      comment: 'files that import each other are one file, or three; type-only imports may go round',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
  ],
  options: {
    doNotFollow: { path: '^node_modules/' },
    exclude: { path: '^(?:dist|out|test/bench/node_modules)/' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'node', 'default'],
    },
  },
}
