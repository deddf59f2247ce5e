# Numbers, traps, substitutions, jobs and pipes, for any shell; the same result every time.
s=0 x=1 i=0
trap 's=$((s + 1))' USR1
while [ $i -lt "$1" ]; do
	i=$((i + 1)) x=$((x * 16807 % 2147483647)) s=$((s + x % i))
	[ $((i % 100)) = 0 ] || continue
	kill -USR1 $$
	y=$(echo $x | cat)
	s=$((s + y))
	sleep 0.01 &
	wait $!
done
sleep 0.1 | sleep 0.2
echo $s >result
echo done >>result
