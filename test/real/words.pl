# Hashes, regular expressions, sorting and formats on text that it makes itself; the same result every time.
use strict;
use warnings;

my $size = shift;
my ($x, %count, @lines) = (42);
for my $round (1 .. 2_000_000 * $size) {
	$x = ($x * 16807) % 2147483647;
	my $word = join '', map { chr(97 + ($x >> $_) % 26) } 0, 4, 8;
	$count{$word}++;
	push @lines, "$word $x" if $round % 50 == 0;
	if ($round % 1000 == 0) {
		s/([aeiou])(\w)/$2$1/g for @lines[-20 .. -1];
	}
}
open my $out, '>', 'result' or die "result: $!";
printf $out "%d words, %d lines\n", scalar keys %count, scalar @lines;
print $out "$_ $count{$_}\n" for (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[0 .. 99];
my $sum = 0;
$sum = ($sum * 33 + ord) % 1000003 for split //, join ',', sort @lines;
print $out "$sum\ndone\n";
close $out;
