/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BCACHEFS_RS_VERSION_H
#define BCACHEFS_RS_VERSION_H

/* As modinfo shows it; the package has the same (scripts/debian/changelog). */
#define BCACHEFS_RS_VERSION	"0.1.0"

#endif
