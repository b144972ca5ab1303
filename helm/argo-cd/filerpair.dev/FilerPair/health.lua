-- Argo CD's health of a FilerPair.
local function condition(kind)
  for _, one in ipairs((obj.status or {}).conditions or {}) do
    if one.type == kind then return one end
  end
  return {}
end

local function health(status, one)
  return { status = status, message = one.message or "Waiting for the operator." }
end

local ready, stalled = condition("Ready"), condition("Stalled")
if stalled.status == "True" then return health("Degraded", stalled) end
if (obj.status or {}).observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "Waiting for the operator." }
end
local reconciling = condition("Reconciling")
if reconciling.status == "True" then return health("Progressing", reconciling) end
if ready.status == "False" then return health("Degraded", ready) end
if ready.status ~= "True" then return health("Progressing", ready) end
local maintenance = condition("Maintenance")
if maintenance.status == "True" then return health("Suspended", maintenance) end
local degraded = condition("Degraded")
if degraded.status == "True" then return health("Degraded", degraded) end
return health("Healthy", ready)
