/*
 * What the rescuer does when a restore's worker has died: it knows nothing but the restore area.
 */
#pragma once

/* Behind the commit point: carries restore_hand_over() to its end. Fits undo_callback. */
int restore_carry_on(void *shared);

/* Before it: ends all processes of the new tree. Fits undo_callback. */
int restore_roll_back(void *shared);
