/*
 * Checks the wire format of a message against its descriptor, then lets protobuf-c decode it. Refused here: nesting
 * without end, strings with zero bytes, fields of the wrong wire type,
 * a single message given twice (protobuf would merge the two, and no writer of images does that).
 */
#include "image/image-message.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Directory trees of cgroups are the deepest messages there are. */
#define NESTING_MAX 200

struct wire {
	const uint8_t *at;
	const uint8_t *end;
};

static bool take_long_varint(struct wire *w, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (unsigned int shift = 0; shift < 70 && w->at < w->end; shift += 7) {
		uint8_t byte = *w->at++;

		if (shift == 63 && byte > 1)
			return false;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret_value = value;
			return true;
		}
	}
	return false;
}

/* Most numbers are small. */
static inline bool take_varint(struct wire *w, uint64_t *ret_value)
{
	if (w->at == w->end || *w->at & 0x80)
		return take_long_varint(w, ret_value);
	*ret_value = *w->at++;
	return true;
}

static bool take_bytes(struct wire *w, uint64_t bytes, struct wire *ret_taken)
{
	if (bytes > (uint64_t)(w->end - w->at))
		return false;
	ret_taken->at = w->at;
	ret_taken->end = w->at + bytes;
	w->at += bytes;
	return true;
}

static ProtobufCWireType wire_type_of(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
		return PROTOBUF_C_WIRE_TYPE_32BIT;
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return PROTOBUF_C_WIRE_TYPE_64BIT;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE:
		return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
	default:
		return PROTOBUF_C_WIRE_TYPE_VARINT;
	}
}

/* Takes the value behind a tag; for a length-prefixed one ret_content is what it holds. */
static const char *take_value(struct wire *w, unsigned int wire_type, struct wire *ret_content)
{
	uint64_t number;

	switch (wire_type) {
	case PROTOBUF_C_WIRE_TYPE_VARINT:
		return take_varint(w, &number) ? NULL : "a damaged number";
	case PROTOBUF_C_WIRE_TYPE_64BIT:
		return take_bytes(w, 8, ret_content) ? NULL : "truncated";
	case PROTOBUF_C_WIRE_TYPE_32BIT:
		return take_bytes(w, 4, ret_content) ? NULL : "truncated";
	case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
		if (!take_varint(w, &number))
			return "a damaged length";
		return take_bytes(w, number, ret_content) ? NULL : "a field longer than its message";
	default:
		return "an unknown wire type";
	}
}

static const char *check_string(struct wire content)
{
	return memchr(content.at, '\0', (size_t)(content.end - content.at)) ? "a zero byte inside a string" : NULL;
}

/* A list of numbers packed into one field: other writers may do that, we do not. */
static const char *check_packed(struct wire content, const ProtobufCFieldDescriptor *field)
{
	struct wire unused;

	while (content.at < content.end) {
		const char *reason = take_value(&content, wire_type_of(field->type), &unused);

		if (reason)
			return reason;
	}
	return NULL;
}

/* Mostly the number is in the first run of numbers that the message has; NULL: it has no such field. */
static inline const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *descriptor, uint32_t number)
{
	const ProtobufCIntRange *runs = descriptor->field_ranges;
	const uint32_t index = descriptor->n_field_ranges ? number - (uint32_t)runs[0].start_value : 0;

	if (descriptor->n_field_ranges && index < runs[1].orig_index)
		return &descriptor->fields[index];
	return protobuf_c_message_descriptor_get_field(descriptor, number);
}

static const char *check_message(struct wire w, const ProtobufCMessageDescriptor *descriptor, unsigned int depth);

static const char *check_field(struct wire content, unsigned int wire_type, const ProtobufCFieldDescriptor *field,
			       unsigned int depth)
{
	if (wire_type != wire_type_of(field->type)) {
		if (field->label == PROTOBUF_C_LABEL_REPEATED && wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
			return check_packed(content, field);
		return "a field of the wrong type";
	}
	if (field->type == PROTOBUF_C_TYPE_STRING)
		return check_string(content);
	if (field->type == PROTOBUF_C_TYPE_MESSAGE)
		return check_message(content, field->descriptor, depth + 1);
	return NULL;
}

/* No message has more fields than this; single messages are remembered by their index in the descriptor. */
#define FIELDS_MAX 128

static const char *check_message(struct wire w, const ProtobufCMessageDescriptor *descriptor, unsigned int depth)
{
	uint64_t seen[FIELDS_MAX / 64] = { 0 };

	if (depth > NESTING_MAX)
		return "messages nested too deep";
	while (w.at < w.end) {
		const ProtobufCFieldDescriptor *field;
		struct wire content = { 0 };
		const char *reason;
		uint64_t tag;

		if (!take_varint(&w, &tag) || tag >> 3 == 0 || tag > UINT32_MAX)
			return "a damaged tag";
		reason = take_value(&w, tag & 7, &content);
		if (reason)
			return reason;
		field = find_field(descriptor, (uint32_t)(tag >> 3));
		if (!field)
			continue;
		if (field->type == PROTOBUF_C_TYPE_MESSAGE && field->label != PROTOBUF_C_LABEL_REPEATED) {
			size_t index = (size_t)(field - descriptor->fields);

			if (index >= FIELDS_MAX || seen[index / 64] & 1ull << index % 64)
				return "a field given twice";
			seen[index / 64] |= 1ull << index % 64;
		}
		reason = check_field(content, tag & 7, field, depth);
		if (reason)
			return reason;
	}
	return NULL;
}

/*
 * Decoded, a mapping takes five times its bytes in the image, and an empty message inside of another takes twenty times
 * its two: a file that is full of these would cost gigabytes.
 */
#define FREE_BYTES     ((size_t)64 << 20)
#define BYTES_PER_BYTE 6

struct decoder {
	struct arena *arena; /* NULL: the heap */
	size_t left;
	bool is_too_large;
};

static void *alloc_within_limit(void *ctx, size_t bytes)
{
	struct decoder *d = ctx;

	if (bytes > d->left) {
		d->is_too_large = true;
		return NULL;
	}
	d->left -= bytes;
	return d->arena ? arena_alloc(d->arena, bytes) : malloc(bytes);
}

/* What is in an arena goes with it. */
static void free_decoded(void *ctx, void *memory)
{
	const struct decoder *d = ctx;

	if (!d->arena)
		free(memory);
}

int image_message_decode(const ProtobufCMessageDescriptor *descriptor, const void *data, size_t bytes,
			 struct arena *arena, void *ret_message, const char **ret_reason)
{
	struct decoder decoder = { .arena = arena, .left = FREE_BYTES + BYTES_PER_BYTE * bytes };
	ProtobufCAllocator allocator = { alloc_within_limit, free_decoded, &decoder };
	struct wire w = { data, (const uint8_t *)data + bytes };
	ProtobufCMessage *message;

	*ret_reason = bytes ? check_message(w, descriptor, 0) : NULL;
	if (*ret_reason)
		return -EBADMSG;
	message = protobuf_c_message_unpack(descriptor, &allocator, bytes, data);
	if (!message) {
		*ret_reason = decoder.is_too_large ? "too many parts in one message" : "a required field is missing";
		return -EBADMSG;
	}
	memcpy(ret_message, &message, sizeof(message));
	return 0;
}

void image_message_free(void *message)
{
	protobuf_c_message_free_unpacked(message, NULL);
}
