// Threads, a timer, tasks and garbage; the same sum every time.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;

class Work
{
	static long Fill(long first, int count)
	{
		var table = new Dictionary<long, string>();
		long x = first;
		for (int i = 0; i < count; i++) {
			x = x * 16807 % 2147483647;
			table[x % 5000] = i.ToString();
			if (i % 40000 == 0)
				Thread.Sleep(10);
		}
		return table.Values.Sum(text => (long)text.Length);
	}

	static long Mix(long x)
	{
		for (int i = 0; i < 100000; i++)
			x = x * 16807 % 2147483647;
		return x;
	}

	static void Main(string[] args)
	{
		int size = int.Parse(args[0]), ticks = 0;
		long sum = 0;
		var timer = new Timer(_ => Interlocked.Increment(ref ticks), null, 5, 5);
		var threads = Enumerable.Range(1, 4).Select(n => new Thread(() => Interlocked.Add(ref sum, Fill(n, size * 600000)))).ToList();
		threads.ForEach(thread => thread.Start());
		threads.ForEach(thread => thread.Join());
		var tasks = Enumerable.Range(1, size * 300).Select(n => Task.Run(() => Mix(n))).ToArray();
		Task.WaitAll(tasks);
		sum += tasks.Sum(task => task.Result);
		while (ticks < 100)
			Thread.Sleep(10);
		timer.Dispose();
		File.WriteAllText("result", sum + "\ndone\n");
		Environment.Exit(0);
	}
}
