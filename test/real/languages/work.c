/* OpenMP: loops in all its schedules, tasks and sections; the same sum every time. */
#include <stdio.h>
#include <stdlib.h>

#define COUNT 1000000

static double values[COUNT];

static long tree(int depth)
{
	long left, right;

	if (depth == 0)
		return 1;
#pragma omp task shared(left)
	left = tree(depth - 1);
	right = tree(depth - 1);
#pragma omp taskwait
	return left + right;
}

int main(int argc, char **argv)
{
	const int rounds = atoi(argv[argc - 1]) * 200;
	long sum = 0;
	FILE *out;

	for (int k = 0; k < rounds; k++) {
		long all = 0, leaves = 0;

#pragma omp parallel for schedule(dynamic, 1000)
		for (int i = 0; i < COUNT; i++)
			values[i] = values[i] * 0.5 + i % 7 * k;
#pragma omp parallel for schedule(static) reduction(+ : all)
		for (int i = 0; i < COUNT; i++)
			all += (long)values[i];
#pragma omp parallel
#pragma omp single
		leaves = tree(8);
		sum += all % 1000 + leaves;
	}
	out = fopen("result", "w");
	fprintf(out, "%ld\ndone\n", sum);
	return fclose(out) != 0;
}
