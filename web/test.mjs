// Bundles the tests of tests/unit/web and runs them.
import { build } from 'esbuild';
import { spawnSync } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const TESTS = path.join(HERE, '../tests/unit/web');
const OUT = path.join(HERE, '../build/web/tests');
const names = (await readdir(TESTS)).filter((name) => /^test_.*\.ts$/.test(name));

await build({
	entryPoints: names.map((name) => path.join(TESTS, name)),
	outdir: OUT,
	outExtension: { '.js': '.mjs' },
	bundle: true,
	platform: 'node',
	format: 'esm',
	sourcemap: 'inline',
	logLevel: 'warning',
	nodePaths: [path.join(HERE, 'node_modules')],
});
const files = names.map((name) => path.join(OUT, name.replace(/\.ts$/, '.mjs')));
const run = spawnSync(process.execPath, ['--enable-source-maps', '--test', '--test-reporter=tap', ...files], { stdio: 'inherit' });

process.exitCode = run.status ?? 1;
