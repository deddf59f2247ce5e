/*
 * The settings of a terminal: modes, locked modes, window size, whether it is exclusive. Both ends of a pair tell those
 * of the slave.
 */
#include "files/tty.h"

#include <errno.h>
#include <string.h>

/* --- dump --------------------------------------------------------------------------------------------------------- */

int tty_settings_read(int fd, struct tty_end *end)
{
	struct termios locked;

	if (ioctl(fd, TCGETS2, &end->modes) < 0) {
		end->is_hung_up = errno == EIO;
		return end->is_hung_up ? 0 : -errno;
	}
	if (ioctl(fd, TIOCGLCKTRMIOS, &locked) == 0) {
		end->locked_modes.c_iflag = locked.c_iflag;
		end->locked_modes.c_oflag = locked.c_oflag;
		end->locked_modes.c_cflag = locked.c_cflag;
		end->locked_modes.c_lflag = locked.c_lflag;
		end->locked_modes.c_line = locked.c_line;
		memcpy(end->locked_modes.c_cc, locked.c_cc, sizeof(locked.c_cc));
	}
	if (ioctl(fd, TIOCGETD, &end->discipline) < 0 || ioctl(fd, TIOCGWINSZ, &end->size) < 0 ||
	    ioctl(fd, TIOCGEXCL, &end->is_exclusive) < 0)
		return -errno;
	if (!end->discipline) /* of the other end, which the modes of either are of */
		end->discipline = end->modes.c_line;
	return 0;
}

TermiosEntry *tty_modes_fill(struct tty_modes_message *message, const struct termios2 *modes)
{
	termios_entry__init(&message->entry);
	message->entry.c_iflag = modes->c_iflag;
	message->entry.c_oflag = modes->c_oflag;
	message->entry.c_cflag = modes->c_cflag;
	message->entry.c_lflag = modes->c_lflag;
	message->entry.c_line = modes->c_line;
	message->entry.c_ispeed = modes->c_ispeed;
	message->entry.c_ospeed = modes->c_ospeed;
	for (size_t i = 0; i < NCCS; i++)
		message->characters[i] = modes->c_cc[i];
	message->entry.c_cc = message->characters;
	message->entry.n_c_cc = NCCS;
	return &message->entry;
}

/* --- restore ------------------------------------------------------------------------------------------------------ */

struct termios2 tty_modes_of(const TermiosEntry *entry)
{
	struct termios2 modes = {
		.c_iflag = entry->c_iflag,
		.c_oflag = entry->c_oflag,
		.c_cflag = entry->c_cflag,
		.c_lflag = entry->c_lflag,
		.c_line = (cc_t)entry->c_line,
		.c_ispeed = entry->c_ispeed,
		.c_ospeed = entry->c_ospeed,
	};

	for (size_t i = 0; i < NCCS; i++)
		modes.c_cc[i] = (cc_t)entry->c_cc[i];
	return modes;
}

/* Speeds are in the flags unless these say otherwise; not every image has them. */
int tty_modes_set(int fd, const TermiosEntry *entry)
{
	struct termios2 modes = tty_modes_of(entry);
	struct termios plain = { .c_iflag = modes.c_iflag,
				 .c_oflag = modes.c_oflag,
				 .c_cflag = modes.c_cflag,
				 .c_lflag = modes.c_lflag,
				 .c_line = modes.c_line };

	memcpy(plain.c_cc, modes.c_cc, sizeof(plain.c_cc));
	if ((modes.c_cflag & CBAUD) == BOTHER || (modes.c_cflag >> IBSHIFT & CBAUD) == BOTHER)
		return ioctl(fd, TCSETS2, &modes) < 0 ? -errno : 0;
	return ioctl(fd, TCSETS, &plain) < 0 ? -errno : 0;
}

int tty_size_set(int fd, const WinsizeEntry *entry)
{
	struct winsize size = {
		.ws_row = (unsigned short)entry->ws_row,
		.ws_col = (unsigned short)entry->ws_col,
		.ws_xpixel = (unsigned short)entry->ws_xpixel,
		.ws_ypixel = (unsigned short)entry->ws_ypixel,
	};

	return ioctl(fd, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

int tty_modes_lock(int fd, const TermiosEntry *entry)
{
	struct termios locked = { .c_iflag = entry->c_iflag,
				  .c_oflag = entry->c_oflag,
				  .c_cflag = entry->c_cflag,
				  .c_lflag = entry->c_lflag,
				  .c_line = (cc_t)entry->c_line };
	bool any = entry->c_iflag || entry->c_oflag || entry->c_cflag || entry->c_lflag || entry->c_line;

	for (size_t i = 0; i < NCCS && i < entry->n_c_cc; i++) {
		locked.c_cc[i] = (cc_t)entry->c_cc[i];
		any |= locked.c_cc[i] != 0;
	}
	return any && ioctl(fd, TIOCSLCKTRMIOS, &locked) < 0 ? -errno : 0;
}
