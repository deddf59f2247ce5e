# Threads, fibers, a child and a pipe; the same result every time.
size = ARGV[0].to_i
queue = Queue.new
threads = 3.times.map do |n|
  Thread.new do
    sum = 0
    (1..size * 100_000).each do |i|
      sum += (i * n).to_s.size
      sleep 0.001 if i % 20_000 == 0
    end
    queue << sum
  end
end
fiber = Fiber.new do
  x = 1
  loop do
    Fiber.yield x
    x = x * 3 % 1_000_003
  end
end
sum = 0
(size * 200_000).times { sum += fiber.resume }
threads.each(&:join)
sum += queue.pop until queue.empty?
reader, writer = IO.pipe
pid = fork do
  50.times do |i|
    sleep 0.01
    writer.puts i
  end
  exit!(3)
end
writer.close
sum += reader.each_line.sum(&:to_i)
Process.wait pid
File.write 'result', "#{sum} #{$?.exitstatus}\ndone\n"
