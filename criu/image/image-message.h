/*
 * Messages out of bytes. protobuf-c follows nested messages as deep as the bytes say and cuts strings at the first
 * zero byte, so the wire format is walked once before it is decoded.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

#include "base/arena.h"

/*
 * Decodes a message: 0, -ENOMEM, or -EBADMSG with *ret_reason saying what is wrong with it, such as "truncated".
 * ret_message is the address of a pointer to the type that descriptor stands for. With an arena the message is part of
 * that, and is not freed by itself: for the records that there are thousands of.
 */
int image_message_decode(const ProtobufCMessageDescriptor *descriptor, const void *data, size_t bytes,
			 struct arena *arena, void *ret_message, const char **ret_reason);

/* Takes NULL. */
void image_message_free(void *message);

static inline void cleanup_image_message(void *message)
{
	image_message_free(*(void **)message);
}

#define AUTO_MESSAGE __attribute__((cleanup(cleanup_image_message)))
