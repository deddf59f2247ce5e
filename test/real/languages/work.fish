# Loops, pipes, substitutions and lists; the same sum every time.
set sum 0
for i in (seq $argv[1])
	set sum (math "($sum * 7 + $i) % 100003")
	if test (math $i % 20) = 0
		set sum (math $sum + (echo $sum | sed s/3/x/ | string length))
		sleep 0.02
	end
end
for i in (seq (math $argv[1] x 200))
	set list[1] $i
end
echo $sum $list > result
echo done >> result
