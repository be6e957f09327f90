# Fails if FILES, looked at with nm's option WHICH, show a symbol that does not match ALLOWED, or none that
# matches NEEDED.
execute_process(COMMAND ${NM} ${WHICH} --defined-only ${FILES}
  OUTPUT_VARIABLE symbols RESULT_VARIABLE status)
if(status)
  message(FATAL_ERROR "${NM} failed on ${FILES}")
endif()
string(REGEX MATCHALL "[^\n]+" lines "${symbols}")
foreach(line IN LISTS lines)
  if(NOT line MATCHES "${ALLOWED}")
    message(FATAL_ERROR "a symbol that is not ${ALLOWED}: ${line}")
  endif()
endforeach()
if(NOT symbols MATCHES "${NEEDED}")
  message(FATAL_ERROR "no ${NEEDED} in ${FILES}")
endif()
