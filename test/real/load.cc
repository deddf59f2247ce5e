// Threads that hand work to each other through a queue, futures, containers and exceptions; the same sum every time.
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace
{

class Queue
{
      public:
	void push(uint64_t item)
	{
		std::unique_lock lock(mutex_);
		not_full_.wait(lock, [this] { return items_.size() < 64; });
		items_.push_back(item);
		not_empty_.notify_one();
	}

	bool pop(uint64_t &item)
	{
		std::unique_lock lock(mutex_);
		not_empty_.wait(lock, [this] { return closed_ || !items_.empty(); });
		if (items_.empty())
			return false;
		item = items_.front();
		items_.pop_front();
		not_full_.notify_one();
		return true;
	}

	void close()
	{
		std::lock_guard lock(mutex_);
		closed_ = true;
		not_empty_.notify_all();
	}

      private:
	std::mutex mutex_;
	std::condition_variable not_empty_, not_full_;
	std::deque<uint64_t> items_;
	bool closed_ = false;
};

uint64_t work(uint64_t seed)
{
	std::map<uint64_t, std::string> table;
	uint64_t x = seed + 1;

	for (int i = 0; i < 2000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		table[x % 500] += static_cast<char>('a' + x % 26);
	}
	try {
		if (x % 3 == 0)
			throw std::runtime_error(table.begin()->second);
	} catch (const std::runtime_error &error) {
		x += std::string(error.what()).size();
	}
	return std::accumulate(table.begin(), table.end(), x, [](uint64_t sum, const auto &row) {
		return sum * 31 + row.second.size() + static_cast<unsigned char>(row.second[0]);
	});
}

} // namespace

int main(int argc, char **argv)
{
	const uint64_t items = 15000ULL * static_cast<uint64_t>(argc > 1 ? std::atoi(argv[1]) : 1);
	std::atomic<uint64_t> sum = 0;
	std::vector<std::thread> workers;
	Queue queue;

	for (int i = 0; i < 6; i++) {
		workers.emplace_back([&] {
			uint64_t item;

			while (queue.pop(item))
				sum += work(item);
		});
	}
	auto extra = std::async(std::launch::async, [] {
		uint64_t mine = 0;

		for (uint64_t i = 0; i < 500; i++)
			mine ^= work(i + 1000000);
		return mine;
	});
	for (uint64_t i = 0; i < items; i++)
		queue.push(i);
	queue.close();
	for (auto &worker : workers)
		worker.join();
	std::FILE *out = std::fopen("result", "w");
	if (!out)
		return 1;
	std::fprintf(out, "%016llx %016llx\ndone\n", static_cast<unsigned long long>(sum),
		     static_cast<unsigned long long>(extra.get()));
	return std::fclose(out) == 0 ? 0 : 1;
}
