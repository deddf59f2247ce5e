/* Timers that tell a thread: SIGEV_THREAD of the C library, and SIGEV_THREAD_ID with a thread that is not the first. */
#include "zdtmlib.h"

#include <pthread.h>
#include <time.h>

static volatile int called, ready, go, got;

static void on_time(union sigval value)
{
	__atomic_add_fetch(&called, value.sival_int, __ATOMIC_SEQ_CST);
}

static void *act(void *arg)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 5 };
	const struct itimerspec set = { .it_value = { 2000, 0 } }, soon = { .it_value = { 0, 1000000 } };
	siginfo_t info;
	sigset_t mask;
	int id;

	event._sigev_un._tid = gettid();
	event.sigev_value.sival_int = 4321;
	MUST(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id));
	MUST(syscall(SYS_timer_settime, id, 0, &set, NULL));
	test_post(&ready, 1);
	test_await(&go, 1);
	MUST(syscall(SYS_timer_settime, id, 0, &soon, NULL));
	sigemptyset(&mask);
	sigaddset(&mask, SIGRTMIN + 5);
	EXPECT_EQ(sigwaitinfo(&mask, &info), SIGRTMIN + 5);
	EXPECT_EQ(info.si_value.sival_int, 4321);
	EXPECT_EQ(info.si_code, SI_TIMER);
	got = 1;
	return arg;
}

int main(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_time };
	const struct itimerspec far = { .it_value = { 3000, 0 } }, soon = { .it_value = { 0, 1000000 } };
	struct itimerspec now;
	pthread_t thread;
	sigset_t mask;
	timer_t timer;

	test_start();
	sigemptyset(&mask);
	sigaddset(&mask, SIGRTMIN + 5);
	MUST(sigprocmask(SIG_BLOCK, &mask, NULL));
	EXPECT_EQ(pthread_create(&thread, NULL, act, NULL), 0);
	test_await(&ready, 1);
	event.sigev_value.sival_int = 5;
	MUST(timer_create(CLOCK_REALTIME, &event, &timer));
	MUST(timer_settime(timer, 0, &far, NULL));
	test_wait();
	MUST(timer_gettime(timer, &now));
	EXPECT(now.it_value.tv_sec > 2000 && now.it_value.tv_sec <= 3000);
	MUST(timer_settime(timer, 0, &soon, NULL));
	for (int i = 0; i < 60000 && !called; i++)
		usleep(1000);
	EXPECT_EQ(called, 5);
	test_post(&go, 1);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
	EXPECT_EQ(got, 1);
	return test_pass();
}
