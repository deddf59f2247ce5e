// Pools of threads, timers and streams, with garbage and functions hot enough to be compiled; the same sum every time.
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.stream.LongStream;

public class Work {
	static long mix(long n) {
		long sum = 0;
		for (long i = 1; i < 20000; i++) {
			n ^= n << 13;
			n ^= n >>> 7;
			n ^= n << 17;
			sum += n % i;
		}
		return sum;
	}

	static long fill(long n) {
		Map<Long, String> map = new HashMap<>();
		for (long k = 0; k < 50; k++)
			map.put(k * n, "x" + k);
		return mix(n) + map.size();
	}

	public static void main(String[] args) throws Exception {
		int size = Integer.parseInt(args[0]);
		ExecutorService pool = Executors.newFixedThreadPool(4);
		ScheduledExecutorService timer = Executors.newScheduledThreadPool(1);
		CountDownLatch ticks = new CountDownLatch(100);
		List<Future<Long>> all = new ArrayList<>();
		long sum = 0;

		for (int i = 1; i < size * 3000; i++) {
			long n = i;
			all.add(pool.submit(() -> fill(n)));
		}
		timer.scheduleAtFixedRate(ticks::countDown, 5, 5, TimeUnit.MILLISECONDS);
		for (Future<Long> each : all)
			sum += each.get();
		ticks.await();
		sum += LongStream.range(1, 2000).parallel().map(Work::mix).sum();
		System.gc();
		Thread.sleep(100);
		try (PrintWriter out = new PrintWriter("result")) {
			out.println(sum);
			out.println("done");
		}
		pool.shutdown();
		timer.shutdownNow();
	}
}
