/** What `require('sidetone')` gets on a Node.js that cannot require ES modules; newer ones get the package itself. */
throw new Error(
  `sidetone is an ES module, and Node.js ${process.versions.node} cannot require() those: use import('sidetone'), or Node.js 20.19, 22.12 or newer`,
);
