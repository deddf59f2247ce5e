// Worker threads that sleep in shared memory, send messages and run WebAssembly; the same sum every time.
'use strict';
const fs = require('fs');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');

// (func (export "f") (param i32 i32) (result i32)): x * 419 + 13, so many times as the second one says.
const code = Uint8Array.from([
	0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 7, 1, 0x60, 2, 0x7f, 0x7f, 1, 0x7f, 3, 2, 1, 0, 7, 5, 1, 1, 0x66, 0, 0, 10, 29, 1,
	27, 0, 3, 0x40, 0x20, 0, 0x41, 0xa3, 3, 0x6c, 0x41, 13, 0x6a, 0x21, 0, 0x20, 1, 0x41, 1, 0x6b, 0x22, 1, 0x0d, 0, 0x0b,
	0x20, 0, 0x0b,
]);

function work({ words, first, rounds }) {
	const { f } = new WebAssembly.Instance(new WebAssembly.Module(code)).exports;
	let x = first;

	for (let i = 0; i < rounds; i++) {
		x = f(x, 100000);
		Atomics.wait(words, 1, Atomics.load(words, 1), 20);
		Atomics.add(words, 0, x & 7);
		parentPort.postMessage(x & 1023);
	}
}

function main(size) {
	const words = new Int32Array(new SharedArrayBuffer(8));
	let sum = 0, left = 3;
	const ticks = setInterval(() => {
		Atomics.add(words, 1, 1);
		Atomics.notify(words, 1);
	}, 5);

	for (let i = 1; i <= 3; i++) {
		const worker = new Worker(__filename, { workerData: { words, first: i, rounds: size * 150 } });
		worker.on('message', (value) => (sum += value));
		worker.on('exit', () => {
			if (--left)
				return;
			clearInterval(ticks);
			fs.writeFileSync('result', `${sum} ${words[0]}\ndone\n`);
		});
	}
}

if (isMainThread)
	main(Number(process.argv[2]));
else
	work(workerData);
