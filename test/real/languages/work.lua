-- Coroutines, tables and strings; the same result every time.
local size = tonumber(arg[1])
local values = {}
local next_number = coroutine.wrap(function()
	local x = 1
	while true do
		x = x * 16807 % 2147483647
		coroutine.yield(x)
	end
end)
for i = 1, size * 3000000 do
	values[next_number() % 1000] = tostring(i)
end
local sum = 0
for key, value in pairs(values) do
	sum = sum + key * tonumber(value)
end
local out = io.open("result", "w")
out:write(sum, "\ndone\n")
out:close()
