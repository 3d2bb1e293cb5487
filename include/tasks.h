/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _BCACHEFS_RS_TASKS_H
#define _BCACHEFS_RS_TASKS_H

#include <linux/types.h>

struct task_struct;

void bch_rs_wait(const void *at, bool (*done)(void *data), void *data);
bool bch_rs_wait_timeout(const void *at, bool (*done)(void *data), void *data,
			 unsigned int ms, bool idle);
void bch_rs_wake(const void *at);

struct task_struct *bch_rs_thread_start(int (*run)(void *data), void *data,
					const char *name);
bool bch_rs_thread_stop(struct task_struct *task);

#endif
