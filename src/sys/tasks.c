// SPDX-License-Identifier: GPL-2.0
/*
 * Waiting for a condition, and threads.
 *
 * Waiters are in the kernel's table of wait queues, by the address of what they wait for: that
 * takes no memory of its own, so a lock can have several of them.
 */
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/wait_bit.h>

#include "tasks.h"

/* done() is not called again after it was true. It must not sleep. */
void bch_rs_wait(const void *at, bool (*done)(void *data), void *data)
{
	wait_var_event((void *)at, done(data));
}

/*
 * The same, for at most that time: returns whether done() was true. An idle
 * task does not count as one that is held up; and of those that wait at one
 * address, a wake-up wakes one.
 */
bool bch_rs_wait_timeout(const void *at, bool (*done)(void *data), void *data,
			 unsigned int ms, bool idle)
{
	unsigned int state = idle ? TASK_IDLE : TASK_UNINTERRUPTIBLE;
	long left = msecs_to_jiffies(ms);
	bool is_done;

	might_sleep();
	___wait_var_event((void *)at,
			  (is_done = done(data)) || !left, state, idle, 0,
			  left = schedule_timeout(left));
	return is_done;
}

/* To be called after the condition has become true. */
void bch_rs_wake(const void *at)
{
	/* With the one in prepare_to_wait_event(): the waiter sees the change, or is seen. */
	smp_mb();
	wake_up_var((void *)at);
}

/* Holds a reference to the task until it is stopped. */
struct task_struct *bch_rs_thread_start(int (*run)(void *data), void *data,
					const char *name)
{
	struct task_struct *task = kthread_create(run, data, "%s", name);

	if (IS_ERR(task))
		return task;
	get_task_struct(task);
	wake_up_process(task);
	return task;
}

/* Waits until the thread has returned. True if it was stopped before run() was called. */
bool bch_rs_thread_stop(struct task_struct *task)
{
	return kthread_stop_put(task) == -EINTR;
}
