// Threads, channels, a condition variable and trees; the same sum every time.
use std::collections::BTreeMap;
use std::sync::{mpsc, Arc, Condvar, Mutex};
use std::{env, fs, thread, time::Duration};

fn fill(first: u64, count: u64, told: mpsc::Sender<u64>, steps: Arc<(Mutex<u64>, Condvar)>) -> u64 {
	let mut table = BTreeMap::new();
	let mut x = first;
	for i in 0..count {
		x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
		table.insert(x >> 48, i.to_string());
		if i % 20000 == 0 {
			thread::sleep(Duration::from_millis(10));
			*steps.0.lock().unwrap() += 1;
			steps.1.notify_all();
			told.send(x >> 50).unwrap();
		}
	}
	table.values().map(|text| text.len() as u64).sum()
}

fn main() {
	let count = env::args().nth(1).unwrap().parse::<u64>().unwrap() * 1_000_000;
	let steps = Arc::new((Mutex::new(0), Condvar::new()));
	let (told, heard) = mpsc::channel();
	let threads: Vec<_> = (1..5)
		.map(|first| {
			let (told, steps) = (told.clone(), steps.clone());
			thread::spawn(move || fill(first, count, told, steps))
		})
		.collect();
	drop(told);
	let mut done = steps.0.lock().unwrap();
	while *done < 4 * count / 20000 {
		done = steps.1.wait_timeout(done, Duration::from_secs(5)).unwrap().0;
	}
	drop(done);
	let mut sum: u64 = heard.iter().sum();
	for each in threads {
		sum += each.join().unwrap();
	}
	fs::write("result", format!("{}\ndone\n", sum)).unwrap();
}
