// Timers, promises and functions hot enough to be compiled, also while the checkpoint happens; the same result every time.
'use strict';
const fs = require('fs');
const crypto = require('crypto');

const size = Number(process.argv[2]);
let ticks = 0;
let sum = 0;
const seen = new Map();

function mix(x) {
	x ^= x << 13;
	x ^= x >>> 17;
	x ^= x << 5;
	return x >>> 0;
}

function round(n) {
	let x = n + 1;
	for (let i = 0; i < 400000; i++) {
		x = mix(x + i);
	}
	return x;
}

async function step(n) {
	await new Promise((resolve) => setImmediate(resolve));
	const x = round(n);
	seen.set('k' + (x % 1000), { n, text: 'v'.repeat(x % 50) });
	return x;
}

const interval = setInterval(async () => {
	const mine = ticks++;
	if (mine > 150 * size) {
		return;
	}
	sum = (sum + (await step(mine))) % 4294967296;
	if (mine === 150 * size) {
		clearInterval(interval);
		setTimeout(finish, 50);
	}
}, 5);

function finish() {
	const text = JSON.stringify([...seen].sort()) + sum;
	const digest = crypto.createHash('sha256').update(text).digest('hex');
	fs.writeFileSync('result', `${seen.size} ${sum} ${digest}\ndone\n`);
}
