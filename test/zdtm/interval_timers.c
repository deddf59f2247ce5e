/* The three interval timers: intervals kept, what remains goes on from where it was, and they fire. */
#include "zdtmlib.h"

#include <sys/time.h>

static volatile int fired;

static void on_alarm(int signo)
{
	(void)signo;
	fired++;
}

static double seconds(const struct timeval *tv)
{
	return tv->tv_sec + tv->tv_usec / 1e6;
}

int main(void)
{
	static const struct itimerval set[3] = {
		[ITIMER_REAL] = { { 500, 123000 }, { 1000, 0 } },
		[ITIMER_VIRTUAL] = { { 100, 1000 }, { 2000, 500000 } },
		[ITIMER_PROF] = { { 0, 0 }, { 3000, 750000 } },
	};
	struct itimerval before[3], now, soon = { { 0, 0 }, { 0, 20000 } };
	struct sigaction action = { .sa_handler = on_alarm };

	test_start();
	MUST(sigaction(SIGALRM, &action, NULL));
	for (int i = 0; i < 3; i++)
		MUST(setitimer(i, &set[i], NULL));
	for (int i = 0; i < 3; i++)
		MUST(getitimer(i, &before[i]));
	test_wait();
	for (int i = 0; i < 3; i++) {
		MUST(getitimer(i, &now));
		/* The kernel rounds to its tick. */
		if (llabs((long long)(1e6 * (seconds(&now.it_interval) - seconds(&set[i].it_interval)))) > 10000)
			FAIL("timer %d: expected interval %f, found %f", i, seconds(&set[i].it_interval),
			     seconds(&now.it_interval));
		if (seconds(&now.it_value) > seconds(&set[i].it_value) + 0.1 ||
		    seconds(&now.it_value) < seconds(&set[i].it_value) - 600)
			FAIL("timer %d: expected a bit less than %f, found %f", i, seconds(&set[i].it_value),
			     seconds(&now.it_value));
		/* What is left does not grow. */
		if (seconds(&now.it_value) > seconds(&before[i].it_value) + 2e-6)
			FAIL("timer %d: %f left before, %f now", i, seconds(&before[i].it_value),
			     seconds(&now.it_value));
	}
	MUST(setitimer(ITIMER_REAL, &soon, NULL));
	for (int i = 0; i < 60000 && !fired; i++)
		usleep(5000);
	EXPECT_EQ(fired, 1);
	return test_pass();
}
