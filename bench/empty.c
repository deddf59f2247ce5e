/* The least a program can be, linked statically: what fork, exec and wait cost at this moment on this machine. */
int main(void)
{
	return 0;
}
