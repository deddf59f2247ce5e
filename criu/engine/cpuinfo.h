/*
 * cpuinfo.img: what the processor of the dump's machine could do, and whether this one can do as much. Used by
 * "cpuinfo dump" and "cpuinfo check", and by a dump and a restore when --cpu-cap asks for the image.
 */
#pragma once

struct error;
struct image_set;
struct options;

/* Writes the image. */
int cpuinfo_dump(struct image_set *set, struct error *err);

/* Compares as opts->cpu_cap says: 0, -ENOTSUP with what this processor lacks, or another -errno. */
int cpuinfo_check(const struct options *opts, const struct image_set *set, struct error *err);
