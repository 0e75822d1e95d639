/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_loop.c - tasks and calls reach the loop's thread, once, and always. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/units.h"
#include "machine/loop.h"

enum { CALLER_COUNT = 4, CALLS_EACH = 2000 };

struct count {
	struct loop *loop;
	struct loop_task task;
	unsigned runs;
	unsigned again; /* post itself this many times more */
	pthread_t ran_on;
};

static void count_run(void *arg)
{
	struct count *count = arg;

	count->runs++;
	count->ran_on = pthread_self();
	if (count->again > 0) {
		count->again--;
		loop_post(count->loop, &count->task);
	}
}

static void stop_run(void *arg)
{
	loop_stop(arg);
}

static struct count count_for(struct loop *loop)
{
	return (struct count){ .loop = loop };
}

static void a_task_posted_many_times_before_it_runs_runs_once(void **state)
{
	struct loop loop;
	struct count count = count_for(&loop);
	struct loop_task stop = { .run = stop_run, .arg = &loop };

	(void)state;
	assert_int_equal(loop_init(&loop, NULL), 0);
	count.task = (struct loop_task){ .run = count_run, .arg = &count };
	for (int i = 0; i < 100; i++)
		loop_post(&loop, &count.task);
	loop_post(&loop, &stop);
	loop_run(&loop);
	assert_int_equal(count.runs, 1);
	loop_fini(&loop);
}

static void a_task_posted_during_its_own_run_runs_again(void **state)
{
	struct loop loop;
	struct count count = count_for(&loop);

	(void)state;
	assert_int_equal(loop_init(&loop, NULL), 0);
	count.again = 3;
	count.task = (struct loop_task){ .run = count_run, .arg = &count };
	loop_post(&loop, &count.task);
	loop_stop(&loop);
	loop_run(&loop);
	assert_int_equal(count.runs, 4);
	loop_fini(&loop);
}

static void a_call_runs_on_the_loops_thread_before_it_returns(void **state)
{
	struct loop loop;
	struct count count = count_for(&loop);

	(void)state;
	assert_int_equal(loop_init(&loop, NULL), 0);
	assert_int_equal(loop_start(&loop, "test-loop", NULL), 0);
	loop_call(&loop, count_run, &count);
	assert_int_equal(count.runs, 1);
	assert_true(pthread_equal(count.ran_on, loop.thread));
	loop_stop(&loop);
	loop_join(&loop);
	loop_fini(&loop);
}

static void *call_often(void *arg)
{
	struct count *count = arg;

	for (int i = 0; i < CALLS_EACH; i++)
		loop_call(count->loop, count_run, count);
	return NULL;
}

static void calls_from_many_threads_are_all_made_one_at_a_time(void **state)
{
	struct loop loop;
	struct count count = count_for(&loop);
	pthread_t callers[CALLER_COUNT];

	(void)state;
	assert_int_equal(loop_init(&loop, NULL), 0);
	assert_int_equal(loop_start(&loop, "test-loop", NULL), 0);
	for (size_t i = 0; i < CALLER_COUNT; i++)
		assert_int_equal(pthread_create(&callers[i], NULL, call_often, &count), 0);
	for (size_t i = 0; i < CALLER_COUNT; i++)
		(void)pthread_join(callers[i], NULL);
	loop_stop(&loop);
	loop_join(&loop);
	assert_int_equal(count.runs, CALLER_COUNT * CALLS_EACH);
	loop_fini(&loop);
}

static void a_call_without_a_running_loop_is_made_directly(void **state)
{
	struct loop loop;
	struct count count = count_for(&loop);

	(void)state;
	assert_int_equal(loop_init(&loop, NULL), 0);
	loop_call(&loop, count_run, &count);
	assert_int_equal(count.runs, 1);
	loop_fini(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_task_posted_many_times_before_it_runs_runs_once),
		cmocka_unit_test(a_task_posted_during_its_own_run_runs_again),
		cmocka_unit_test(a_call_runs_on_the_loops_thread_before_it_returns),
		cmocka_unit_test(calls_from_many_threads_are_all_made_one_at_a_time),
		cmocka_unit_test(a_call_without_a_running_loop_is_made_directly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
