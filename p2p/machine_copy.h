/*
 * Whether this machine goes on from a snapshot, and so may be one of two copies (attacks E6). The
 * hypervisor tells the kernel by the number of the machine's generation (vmgenid), which draws new
 * random numbers and says NEW_VMGENID=1 to whoever listens for events of devices, from Linux 6.10
 * on. Without such a device nothing is ever heard. The socket belongs to a loop.
 */
#ifndef P2P_MACHINE_COPY_H
#define P2P_MACHINE_COPY_H

#include <stdbool.h>

#include "base/bytes.h"

int machine_copy_open(void); /* does not block; -1: the kernel gives none */
/* Reads all that waits. True: the kernel said so since, or may have, as events were lost. */
bool machine_copy_heard(int fd);
/* Whether an event says so: texts, each ended by a zero. */
bool machine_copy_says(struct span event);

#endif
