<?php
// Arrays and strings, with short sleeps; the same result every time.
$size = (int)$argv[1];
$values = [];
$x = 1;
for ($i = 0; $i < $size * 3000000; $i++) {
	$x = $x * 16807 % 2147483647;
	$values[$x % 1000] = md5((string)$i);
	if ($i % 100000 == 0) {
		usleep(1000);
	}
}
ksort($values);
file_put_contents("result", md5(implode(",", $values)) . "\ndone\n");
