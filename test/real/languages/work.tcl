# Numbers, arrays, timers of an event loop and a child; the same result every time.
set size [lindex $argv 0]
set x 1
set sum 0
for {set i 1} {$i < $size * 1000000} {incr i} {
	set x [expr {$x * 16807 % 2147483647}]
	set values([expr {$x % 1000}]) $i
	incr sum [expr {$x % $i}]
}
proc tick {} {
	if {[incr ::ticks] < 50} {
		after 10 tick
	} else {
		set ::ended 1
	}
}
set ticks 0
after 10 tick
vwait ended
set child [open "|sh -c {sleep 0.2; echo from child}"]
gets $child line
close $child
set out [open result w]
puts $out "$sum [array size values] $ticks $line"
puts $out done
close $out
