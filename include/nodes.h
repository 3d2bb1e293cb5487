/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _BCACHEFS_RS_NODES_H
#define _BCACHEFS_RS_NODES_H

#include <linux/types.h>

struct bch_rs_node;

/* An ioctl on a node; @node is NULL for the one that stands for all. */
typedef long (*bch_rs_node_ioctl)(struct bch_rs_node *node, unsigned int cmd,
				  unsigned long arg);

int bch_rs_nodes_register(const char *name, bch_rs_node_ioctl ioctl);
void bch_rs_nodes_unregister(void);

struct bch_rs_node *bch_rs_node_add(const void *data, bch_rs_node_ioctl ioctl);
unsigned int bch_rs_node_minor(const struct bch_rs_node *node);
void bch_rs_node_del(struct bch_rs_node *node);

const void *bch_rs_node_enter(struct bch_rs_node *node);
void bch_rs_node_leave(struct bch_rs_node *node);

#endif
